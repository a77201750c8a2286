"""Settings of the reload: new settings are put in force while the gateway serves."""

from gateway.config.sections import Seconds, Section


class ReloadOptions(Section):
    """The reload by SIGHUP, by the admin listener, by `gateway reload`, or by a change of files."""

    watch: bool = False
    """Reload when the settings file, a descriptor set, a service config or a certificate for a back
    end has changed: two to three seconds later, once it stays as it is."""
    keep_s: Seconds = 900.0
    """The time in which requests and streams that are in progress may finish with the settings
    before the reload; then they end, requests with 503 and streams with their error record. The
    next reload but one ends them earlier."""
