"""From what a user gives to what the network sees: arrays or a folder of images, checked, standardised, on a device."""
