"""The Russian texts."""

from gateway.cards.wording import AnswerWording, CardWording, Wording

RUSSIAN = Wording(
    CardWording(
        start_from="📞 Звонок от",
        dial_from="📞 Дозвон от",
        dial="📞 Дозвон",
        internal_ring="🛎️ Внутренний звонок",
        talk="🔗 Разговор",
        internal_talk="🔗 Разговор (внутр.)",
        answered="✅ Завершен",
        internal_answered="✅ Завершен (внутр.)",
        missed="❌ Не отвечен",
        internal_missed="❌ Не отвечен (внутр.)",
        withheld_number="Номер не определен",
        recording="Запись разговора",
        from_crm="🔗 из CRM",
        recovered="🔄 восстановлено",
        ended_by_silence="⚠️ завершение не получено",
    ),
    AnswerWording(
        subscribed="✅ Вы подписаны на звонки предприятия {enterprise}.\nОтписаться: /stop, состояние: /status",
        already_subscribed="✅ Вы уже подписаны на звонки предприятия {enterprise}.",
        revived="✅ Подписка снова действует: {enterprise}.",
        code_unusable="⛔️ Код не подходит: он неизвестен, уже использован или устарел. Попросите у администратора новую ссылку.",
        code_missing="Чтобы подписаться на звонки, откройте ссылку, которую дал администратор, или отправьте: /start код",
        unsubscribed="Вы отписаны: сообщений о звонках больше не будет. Чтобы получать их снова, отправьте /start.",
        not_subscribed="Вы не подписаны. Чтобы подписаться, попросите у администратора ссылку.",
        status="✅ Вы подписаны на звонки предприятия {enterprise}.",
        unknown_command="Я понимаю команды: /start код, /stop, /status",
    ),
)
