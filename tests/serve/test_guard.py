"""Pages of other sites can neither post nor read, names that were bound to our address later neither."""

import httpx
import pytest

from glcic_jax.errors import UserError
from glcic_jax.serve.guard import Access
from glcic_jax.serve.limits import Limits
from tests.support.serving import running


@pytest.fixture(scope="module")
def client(models):
    with running(models, Limits(), Access()) as address, httpx.Client(base_url=address) as client:
        yield client


def test_hosts(client):
    port = client.base_url.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", "LOCALHOST"):
        assert client.get("/", headers={"Host": host}).status_code == 200, host
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "10.0.0.1", "localhost.", "",
                 "localhost@evil.example", "[::1", "127.0.0.1:80:80x"):  # fmt: skip
        answer = client.get("/", headers={"Host": host})
        assert answer.status_code in (400, 403), host
    assert "--allow_host" in client.get("/", headers={"Host": "evil.example"}).json()["error"]


def test_origins(client):
    own = str(client.base_url).rstrip("/")
    assert client.get("/api/v1/models", headers={"Origin": own}).status_code == 200
    for origin in ("http://evil.example", "null", "", f"{own}.evil.example", "http://127.0.0.1:1", "file://", "https://[",
                   f"ftp://127.0.0.1:{client.base_url.port}"):  # fmt: skip
        for path, method in (("/api/v1/inpaint", "POST"), ("/api/v1/models", "GET"), ("/", "GET")):
            answer = client.request(method, path, headers={"Origin": origin})
            assert answer.status_code == 403, origin
            assert "access-control-allow-origin" not in answer.headers
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    assert client.options("/api/v1/inpaint", headers=preflight).status_code == 403


def test_what_browsers_say_of_the_asking_page(client):
    """Pictures and scripts that another page includes carry no Origin."""
    for path, site, mode, status in (
        ("/demonstration.jpg", "cross-site", "no-cors", 403),
        ("/api/v1/models", "same-site", "no-cors", 403),
        ("/api/v1/models", "cross-site", "navigate", 403),
        ("/", "cross-site", "navigate", 200),
        ("/demonstration.jpg", "same-origin", "no-cors", 200),
        ("/", "none", "navigate", 200),
    ):
        answer = client.get(path, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode})
        assert answer.status_code == status, path


def test_every_answer_is_strict(client):
    for answer in (client.get("/"), client.get("/gone"), client.get("/", headers={"Host": "evil.example"})):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in answer.headers and "access-control-allow-origin" not in answer.headers


def test_paths_never_reach_files(client):
    for path in ("/../server.py", "/..%2fserver.py", "/%2e%2e/server.py", "/static/main.js", "//etc/passwd",
                 "/main.js/", "/main.js%00.html", "/..\\server.py",
                 "/api/v1/progress/..%2f..%2fetc", "/.git/config"):  # fmt: skip
        url = str(client.base_url).rstrip("/") + path
        answer = client.send(httpx.Request("GET", url), follow_redirects=False)
        assert answer.status_code in (200, 307, 404), path
        assert "uvicorn" not in answer.text and "root:" not in answer.text
        assert answer.status_code != 200 or answer.json()["state"] == "unknown"


def test_token_and_allowed_origin(models):
    friend = "https://friend.example"
    access = Access(hosts=("eraser.example",), origins=(friend,), token="secret")
    with running(models, Limits(), access) as address, httpx.Client(base_url=address) as client:
        assert client.get("/").status_code == client.get("/health").status_code == 200
        for path in ("/api/v1/models", "/metrics", "/openapi.json"):
            for given in (None, "Bearer wrong", "Basic secret", "Bearer", "Bearer secret2", "secret"):
                headers = {} if given is None else {"Authorization": given}
                answer = client.get(path, headers=headers)
                assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
            right = {"Authorization": "Bearer secret"}
            assert client.get(path, headers=right).status_code == 200
        preflight = client.options(
            "/api/v1/inpaint", headers={"Origin": friend, "Access-Control-Request-Method": "POST"}
        )
        assert preflight.status_code == 204
        answer = client.get("/api/v1/models", headers=right | {"Origin": friend, "Host": "eraser.example"})
        for each in (answer, preflight):
            assert each.headers["access-control-allow-origin"] == friend and "Origin" in each.headers["vary"]
        foreign = client.get("/api/v1/models", headers=right | {"Origin": "https://other.example"})
        assert foreign.status_code == 403


def test_where_others_may_reach_us():
    """An address is no name that somebody could have bound to ours; other names have to be given."""
    access = Access(host="0.0.0.0", hosts=("Printer",))
    assert not access.is_local and Access().is_local and Access(host="::1").is_local
    for host, known in (("10.1.2.3:80", True), ("[fe80::1]", True), ("printer:8080", True), ("evil.example", False)):
        assert access.knows(host) == known, host
    assert not Access().knows("10.1.2.3")
    with pytest.raises(UserError, match="GLCIC_TOKEN"):
        Access(token="two words")
    for origin in ("friend.example", "https://friend.example/", "*", "https://friend.example/path"):
        with pytest.raises(UserError, match="allow_origin"):
            Access(origins=(origin,))
