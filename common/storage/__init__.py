"""Files and folders: written whole, locked, read whatever program left them."""
