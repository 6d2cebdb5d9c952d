"""The English texts."""

from gateway.cards.wording import AnswerWording, CardWording, Wording

ENGLISH = Wording(
    CardWording(
        start_from="📞 Call from",
        dial_from="📞 Dialling from",
        dial="📞 Dialling",
        internal_ring="🛎️ Internal call",
        talk="🔗 Talking",
        internal_talk="🔗 Talking (internal)",
        answered="✅ Ended",
        internal_answered="✅ Ended (internal)",
        missed="❌ Not answered",
        internal_missed="❌ Not answered (internal)",
        withheld_number="Number withheld",
        recording="Call recording",
        from_crm="🔗 from CRM",
        recovered="🔄 recovered",
        ended_by_silence="⚠️ the end of the call was not reported",
    ),
    AnswerWording(
        subscribed="✅ You are subscribed to the calls of {enterprise}.\nTo unsubscribe: /stop, to check: /status",
        already_subscribed="✅ You are already subscribed to the calls of {enterprise}.",
        revived="✅ Your subscription is active again: {enterprise}.",
        code_unusable="⛔️ This code cannot be used: it is unknown, already used or expired. Ask the administrator for a new link.",
        code_missing="To subscribe to calls open the link your administrator gave you, or send: /start code",
        unsubscribed="You are unsubscribed: no more messages about calls. To get them again send /start.",
        not_subscribed="You are not subscribed. To subscribe ask the administrator for a link.",
        status="✅ You are subscribed to the calls of {enterprise}.",
        unknown_command="I understand: /start code, /stop, /status",
    ),
)
