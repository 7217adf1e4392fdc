"""From a trained model and a photograph to a completed photograph. Needs neither Grain nor Orbax."""
