"""notification-service, declared."""

from __future__ import annotations

from pyairtable_reference.kit.envelope import commands_topic
from pyairtable_reference.kit.runtime import Parts, Runtime, ServiceDefinition
from pyairtable_reference.services.notification_service.adapters.smtp import SmtpServer
from pyairtable_reference.services.notification_service.application.welcome import SERVICE, Mailer


def assemble(runtime: Runtime) -> Parts:
    """Puts the service together."""
    settings = runtime.settings
    answer_s = settings.delivery_timeout_s
    server = SmtpServer(settings.smtp_host, settings.smtp_port, answer_s, in_all_s=2.5 * answer_s)
    mailer = Mailer(runtime.units_of_work, server, settings.instance, lease_s=3 * answer_s)
    return Parts(mailer, {commands_topic(SERVICE): mailer.participant.handle}, {"mailer": mailer.run})


NOTIFICATION_SERVICE = ServiceDefinition(SERVICE, (), assemble)
