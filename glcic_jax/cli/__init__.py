"""The commands, one module each; `glcic VERB` and launch/VERB.py run the same."""
