"""Devices that kernels are launched on: their memory, the kernels that they have loaded, and their queues of work."""

from gdsim.devices.nvidia import Device, DeviceError, DeviceInfo, Driver, NoDeviceError, OutOfDeviceMemoryError
from gdsim.devices.stations import SHARE, STATIONS, Station, Stations, room_on
from gdsim.devices.streams import Stream

__all__ = [
    "SHARE",
    "STATIONS",
    "Device",
    "DeviceError",
    "DeviceInfo",
    "Driver",
    "NoDeviceError",
    "OutOfDeviceMemoryError",
    "Station",
    "Stations",
    "Stream",
    "room_on",
]
