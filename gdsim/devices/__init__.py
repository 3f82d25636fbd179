"""Devices that kernels are launched on: their memory, and the kernels that they have loaded."""

from gdsim.devices.nvidia import Device, DeviceError, DeviceInfo, NoDeviceError, OutOfDeviceMemoryError

__all__ = ["Device", "DeviceError", "DeviceInfo", "NoDeviceError", "OutOfDeviceMemoryError"]
