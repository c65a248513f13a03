"""Android phones over adb; the only importer of adbutils."""
