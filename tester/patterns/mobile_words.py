"""Titles and descriptions of the calls that also ring at a manager's mobile, by pattern and language."""

from collections.abc import Mapping
from types import MappingProxyType

TITLES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "2-5": {
            "ru": "Входящий на группу и мобильный: ответили на мобильном",
            "en": "Incoming to a group and a mobile: answered on the mobile",
        },
        "2-6": {"ru": "Входящий на группу и мобильный: ответил менеджер", "en": "Incoming to a group and a mobile: the manager answers"},
        "2-7": {"ru": "Входящий: перевод с запросом, коллега отказался", "en": "Incoming: attended transfer, the colleague declines"},
        "2-8": {"ru": "Входящий: перевод с запросом, коллега принял", "en": "Incoming: attended transfer, the colleague accepts"},
        "2-9": {
            "ru": "Входящий: перевод с запросом, коллега не ответил",
            "en": "Incoming: attended transfer, the colleague does not answer",
        },
        "2-10": {"ru": "Входящий: перевод без запроса, коллега ответил", "en": "Incoming: blind transfer, the colleague answers"},
        "2-11": {
            "ru": "Входящий: перевод без запроса, коллега не ответил",
            "en": "Incoming: blind transfer, the colleague does not answer",
        },
        "2-13": {
            "ru": "Входящий по шагам с мобильным: ответил менеджер",
            "en": "Incoming in ring steps with a mobile: the manager answers",
        },
        "2-14": {
            "ru": "Входящий по шагам с мобильным: ответили на мобильном",
            "en": "Incoming in ring steps with a mobile: answered on the mobile",
        },
        "2-15": {"ru": "Входящий по шагам с мобильным: никто не ответил", "en": "Incoming in ring steps with a mobile: nobody answers"},
        "2-16": {
            "ru": "Входящий на отдел с мобильным: ответил менеджер",
            "en": "Incoming to a department with a mobile: the manager answers",
        },
        "2-17": {
            "ru": "Входящий на отдел с мобильным: ответили на мобильном",
            "en": "Incoming to a department with a mobile: answered on the mobile",
        },
    }
)

DESCRIPTIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "2-5": {
            "ru": "Звонят телефоны группы и мобильный менеджера; отвечают на мобильном. Если указана резервная линия, линия звонка для "
            "мобильного занята, и его вызывают по резервной. Хост не присылает завершения самого звонка. В чате: разговор и "
            "«Завершен» с 📱 и номером мобильного, длительность по нашим часам.",
            "en": "The telephones of a group and the manager's mobile ring; the mobile answers. Where a backup line is given, the line "
            "of the call is taken and the mobile is called on the backup one. The host sends no hangup of the call itself. The "
            "chat shows the talk and “Ended” with 📱 and the mobile's number, the length by our own clock.",
        },
        "2-6": {
            "ru": "Звонят телефоны группы и мобильный менеджера; менеджер берёт трубку на рабочем месте, мобильный умолкает. Завершение "
            "мобильного приходит посреди разговора. В чате: «Завершен» с менеджером, о мобильном ни слова.",
            "en": "The telephones of a group and the manager's mobile ring; the manager answers at his desk and the mobile falls "
            "silent. The mobile's hangup comes in the middle of the talk. The chat shows “Ended” with the manager and not a word "
            "of the mobile.",
        },
        "2-7": {
            "ru": "Менеджер ответил, как в 2-6, и спрашивает коллегу, тот берёт трубку и отказывается; клиент возвращается к менеджеру. "
            "В чате: «Завершен» с менеджером, без строки 🔀.",
            "en": "The manager answers as in 2-6 and asks a colleague, who picks up and declines; the customer returns to the manager. "
            "The chat shows “Ended” with the manager and no line 🔀.",
        },
        "2-8": {
            "ru": "Менеджер ответил, как в 2-6, и спрашивает коллегу, тот соглашается и получает клиента. В чате: «Завершен» с коллегой "
            "и строка 🔀 менеджер → коллега.",
            "en": "The manager answers as in 2-6 and asks a colleague, who agrees and is given the customer. The chat shows “Ended” "
            "with the colleague and the line 🔀 manager → colleague.",
        },
        "2-9": {
            "ru": "На мобильном от звонка отказываются, менеджер берёт трубку на рабочем месте и звонит коллеге, тот 28 секунд не "
            "отвечает; клиент возвращается к менеджеру. В чате: «Завершен» с менеджером, без строки 🔀.",
            "en": "The call is declined on the mobile, the manager answers at his desk and rings a colleague, who does not pick up for "
            "28 seconds; the customer returns to the manager. The chat shows “Ended” with the manager and no line 🔀.",
        },
        "2-10": {
            "ru": "Менеджер ответил, как в 2-9, и переводит клиента, не дожидаясь коллеги; тот отвечает. Завершение приходит как "
            "внутреннее. В чате: «Завершен» с коллегой и строка 🔀 менеджер → коллега.",
            "en": "The manager answers as in 2-9 and transfers the customer without waiting for the colleague, who answers. The hangup "
            "comes as an internal one. The chat shows “Ended” with the colleague and the line 🔀 manager → colleague.",
        },
        "2-11": {
            "ru": "Менеджер ответил, как в 2-9, и переводит клиента, не дожидаясь коллеги; тот не отвечает, звонок потерян. Завершение "
            "называет коллегу и говорит «не отвечен». В чате: «Завершен» с менеджером, ведь с ним клиент говорил, без строки 🔀.",
            "en": "The manager answers as in 2-9 and transfers the customer without waiting for the colleague, who does not answer; the "
            "call is lost. The hangup names the colleague and says not answered. The chat shows “Ended” with the manager, to whom "
            "the customer did talk, and no line 🔀.",
        },
        "2-13": {
            "ru": "Сначала звонит один телефон, через 14 секунд добавляется телефон менеджера, ещё через 14 — его мобильный; менеджер "
            "берёт трубку на рабочем месте. Завершение мобильного приходит между двумя входами в разговор. В чате: список в "
            "дозвоне растёт, в конце «Завершен» с менеджером.",
            "en": "One telephone rings first, after 14 seconds the manager's is added, after 14 more his mobile; the manager answers at "
            "his desk. The mobile's hangup comes between the two who enter the conversation. The chat shows a growing list of "
            "those who ring, and at the end “Ended” with the manager.",
        },
        "2-14": {
            "ru": "Сначала звонит один телефон, через 14 секунд добавляется телефон менеджера, ещё через 14 — его мобильный; отвечают "
            "на мобильном. Хост не присылает завершения самого звонка. В чате: список в дозвоне растёт, в конце «Завершен» с 📱 и "
            "номером мобильного, длительность по нашим часам.",
            "en": "One telephone rings first, after 14 seconds the manager's is added, after 14 more his mobile; the mobile answers. "
            "The host sends no hangup of the call itself. The chat shows a growing list of those who ring, and at the end “Ended” "
            "with 📱 and the mobile's number, the length by our own clock.",
        },
        "2-15": {
            "ru": "Сначала звонит один телефон, через 14 секунд добавляется телефон менеджера, ещё через 14 — его мобильный; не "
            "отвечает никто. В чате: «Не отвечен» с внутренними номерами по порядку, без мобильного.",
            "en": "One telephone rings first, after 14 seconds the manager's is added, after 14 more his mobile; nobody answers. The "
            "chat shows “Not answered” with the extensions in their order and without the mobile.",
        },
        "2-16": {
            "ru": "Отдел с приветствием: 14 секунд звонит один телефон, потом вместо него телефон менеджера и его мобильный; менеджер "
            "берёт трубку на рабочем месте. Хост называет телефоны отдела с приставкой SIP/. В чате: «Завершен» с менеджером.",
            "en": "A department with a greeting: one telephone rings for 14 seconds, then instead of it the manager's and his mobile; "
            "the manager answers at his desk. The host names a department's telephones with SIP/ before the number. The chat "
            "shows “Ended” with the manager.",
        },
        "2-17": {
            "ru": "Отдел с приветствием: 14 секунд звонит один телефон, потом вместо него телефон менеджера и его мобильный; отвечают "
            "на мобильном. Хост присылает оба завершения, звонка и мобильного. В чате: «Завершен» с 📱 и номером мобильного, "
            "длительность точная.",
            "en": "A department with a greeting: one telephone rings for 14 seconds, then instead of it the manager's and his mobile; "
            "the mobile answers. The host sends both hangups, the call's and the mobile's. The chat shows “Ended” with 📱 and the "
            "mobile's number and the exact length.",
        },
    }
)
