"""The files for SLURM and Kubernetes: the batch script run with stand-ins for a cluster's programs, the YAML read."""

import os
import subprocess

import kubernetes_validate
import pytest
import yaml

from tests.support.paths import ROOT

# Starts each task as srun does; with TERM set, signals only the tasks themselves, not what they started.
SRUN = r"""#!/usr/bin/env bash
while [[ $1 == --* ]]; do echo "srun $1" >>"$LOG"; shift; done
for ((i = 0; i < SLURM_NTASKS; i++)); do SLURM_PROCID=$i "$@" & pids[i]=$!; done
if [[ ${TERM_ALL:-} ]]; then
    until [[ $(ls "$LOG".ready.* 2>/dev/null | wc -l) == "$SLURM_NTASKS" ]]; do sleep 0.02; done
    kill -TERM "${pids[@]}"
fi
highest=0
for pid in "${pids[@]}"; do wait "$pid"; code=$?; ((code > highest)) && highest=$code; done
exit $highest
"""
SCONTROL = '#!/usr/bin/env bash\necho "scontrol $*" >>"$LOG"\n'
# A process that ends with its code of CODES; "wait" stands for one that ends with 75 when it is told to.
PYTHON = r"""#!/usr/bin/env bash
echo "python $SLURM_PROCID $*" >>"$LOG"
codes=($CODES); code=${codes[SLURM_PROCID]}
[[ $code == kill ]] && kill -KILL $$
[[ $code == wait ]] || exit $code
trap 'sleep 0.1; exit 75' TERM
touch "$LOG.ready.$SLURM_PROCID"
for ((i = 0; i < 500; i++)); do sleep 0.02; done
"""


@pytest.fixture
def sbatch(tmp_path):
    """Runs train.sbatch on a cluster of stand-ins; returns exit code, the calls that were made, and stderr."""
    (tmp_path / "bin").mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("python", PYTHON)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)

    def run(codes: str, **more: str) -> tuple[int, list[str], str]:
        log = tmp_path / "log"
        log.write_text("")
        result = subprocess.run(
            ["bash", ROOT / "launch/slurm/train.sbatch", "--config=configs/places2.py", "--workdir=a b"],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
            env={"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "LOG": str(log), "CODES": codes,
                 "SLURM_JOB_ID": "7", "SLURM_NTASKS": str(len(codes.split())), **more},
        )  # fmt: skip
        calls = log.read_text().splitlines()
        left = {path.name for path in tmp_path.iterdir() if ".ready" not in path.name} - {"bin", "log"}
        assert left <= ({".glcic-train-7.losses"} if "scontrol requeue 7" in calls else set())
        return result.returncode, calls, result.stderr

    return run


def test_every_task_trains(sbatch):
    code, calls, stderr = sbatch("0 0 0")
    assert (code, stderr) == (0, "")
    arguments = "launch/train.py --multi_process --config=configs/places2.py --workdir=a b"
    assert sorted(call for call in calls if call.startswith("python")) == [f"python {i} {arguments}" for i in range(3)]
    assert {"srun --kill-on-bad-exit=0", "srun --wait=300"} <= set(calls)


@pytest.mark.parametrize(
    ("codes", "expected", "requeued"),
    [
        ("0 0", 0, False),
        ("75 75", 75, True),
        ("76 76", 76, True),
        ("75 76", 75, True),
        ("kill 76", 137, True),
        ("76 2", 2, False),
        ("3 76", 3, False),
        ("1 76", 1, False),
        ("2 75", 2, False),
    ],
)
def test_what_goes_back_into_the_queue(sbatch, codes, expected, requeued):
    code, calls, stderr = sbatch(codes)
    assert code == expected and "not requeued" not in stderr
    assert ("scontrol requeue 7" in calls) == requeued


def test_losses_over_and_over(sbatch):
    """Within ten minutes, six times in a row: not bad luck. Being told to stop, as by a preemption, is no loss."""
    for codes in ("76 76", "76 kill", "75 75", *["76 76"] * 5):
        assert "scontrol requeue 7" in sbatch(codes)[1]
    code, calls, stderr = sbatch("76 76")
    assert code == 76 and "scontrol requeue 7" not in calls
    assert "lost a process within ten minutes for the 6th time in a row: not requeued" in stderr
    assert "scontrol requeue 7" in sbatch("76 76")[1]  # somebody submits it again


def test_a_time_limit(sbatch):
    """SLURM tells the tasks, and they their training, which gets to save."""
    code, calls, _ = sbatch("wait wait", TERM_ALL="1")
    assert code == 75 and calls[-1] == "scontrol requeue 7"


def test_directives_of_the_batch_script():
    lines = (ROOT / "launch/slurm/train.sbatch").read_text().splitlines()
    directives = {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")}
    assert {"--requeue", "--open-mode=append", "--signal=TERM@120"} <= directives
    given = dict(directive.split("=", 1) for directive in directives if "=" in directive)
    assert given["--ntasks-per-node"] == given["--gpus-per-node"]


@pytest.mark.parametrize("version", ["1.29", "1.31"])
def test_kubernetes_takes_the_file(version):
    """By the schemas that it publishes, with nothing that they do not name."""
    for resource in yaml.safe_load_all((ROOT / "launch/k8s/train.yaml").read_text()):
        kubernetes_validate.validate(resource, version, strict=True)


def test_the_kubernetes_job():
    service, job = yaml.safe_load_all((ROOT / "launch/k8s/train.yaml").read_text())
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    name, host = job["metadata"]["name"], environment["GLCIC_COORDINATOR"]
    assert service["spec"]["clusterIP"] == "None" and service["spec"]["selector"] == {"job-name": name}
    assert pod["subdomain"] == service["metadata"]["name"]
    assert host == f"{name}-0.{pod['subdomain']}:{service['spec']['ports'][0]['port']}"
    assert spec["completionMode"] == "Indexed" and pod["restartPolicy"] == "Never"
    assert spec["completions"] == spec["parallelism"] == int(environment["GLCIC_PROCESS_COUNT"])
    assert "--multi_process" in container["command"] and container["command"][:2] == ["glcic", "train"]
    actions = {}
    for rule in spec["podFailurePolicy"]["rules"]:
        if "onExitCodes" in rule:
            assert rule["onExitCodes"]["containerName"] == container["name"]
            actions |= dict.fromkeys(rule["onExitCodes"]["values"], rule["action"])
    assert actions == {2: "FailJob", 3: "FailJob", 75: "Ignore", 76: "Count"}
    assert {"type": "DisruptionTarget", "status": "True"} in spec["podFailurePolicy"]["rules"][2]["onPodConditions"]
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}


def test_scripts_are_valid_shell():
    for script in [*(ROOT / "launch" / "slurm").glob("*.sbatch"), *(ROOT / "tests").glob("*.sh")]:
        subprocess.run(["bash", "-n", script], check=True)


def test_every_change_is_marked():
    """What differs from cluster to cluster carries the word to look for."""
    lines = (ROOT / "launch/k8s/train.yaml").read_text().splitlines()
    for field in ("completions:", "parallelism:", "image:", "nvidia.com/gpu:", "claimName:", "memory:"):
        found = [line for line in lines if line.strip().startswith(field)]
        assert found and all("# CHANGE" in line for line in found), field
