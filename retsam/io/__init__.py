"""Reading and writing: photographs, manifests, masks."""
