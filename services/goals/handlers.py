"""Goals reacts to nothing of its own: who may see a goal comes with the grants that every service keeps."""
