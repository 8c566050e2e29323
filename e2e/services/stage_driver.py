"""A driver of cinder-volume without storage. It cannot be initialized while the file `no-storage` exists."""

import os

from cinder import exception
from cinder.volume import driver


class Driver(driver.VolumeDriver):
    VERSION = "1.0"

    def check_for_setup_error(self):
        if os.path.exists("no-storage"):
            raise exception.VolumeBackendAPIException(data="there is no storage")

    def get_volume_stats(self, refresh=False):
        return {
            "volume_backend_name": self.configuration.volume_backend_name,
            "vendor_name": "stage",
            "driver_version": self.VERSION,
            "storage_protocol": "none",
            "total_capacity_gb": 1,
            "free_capacity_gb": 1,
        }

    def create_volume(self, volume):
        pass

    def create_export(self, context, volume, connector):
        pass

    def ensure_export(self, context, volume):
        pass
