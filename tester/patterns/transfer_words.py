"""Titles and descriptions of the calls that are handed on twice, to a busy colleague or to a follow-me number, by pattern and language."""

from collections.abc import Mapping
from types import MappingProxyType

TITLES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "2-18": {"ru": "Входящий: два перевода с запросом подряд", "en": "Incoming: two attended transfers, one after the other"},
        "2-19": {
            "ru": "Входящий: перевод без запроса на занятого, он не ответил",
            "en": "Incoming: blind transfer to a busy colleague, who does not answer",
        },
        "2-20": {
            "ru": "Входящий: перевод с запросом на занятого, он не ответил",
            "en": "Incoming: attended transfer to a busy colleague, who does not answer",
        },
        "2-21": {
            "ru": "Входящий: перевод без запроса на занятого, он ответил после своего разговора",
            "en": "Incoming: blind transfer to a busy colleague, who answers after his talk",
        },
        "2-22": {
            "ru": "Входящий: перевод с запросом на занятого, он удержал свой разговор и принял",
            "en": "Incoming: attended transfer to a busy colleague, who holds his talk and accepts",
        },
        "2-23": {
            "ru": "Входящий: перевод с запросом на FollowMe, приняли на мобильном",
            "en": "Incoming: attended transfer to follow-me, accepted on the mobile",
        },
        "2-24": {
            "ru": "Входящий: перевод с запросом на FollowMe, отказались на мобильном",
            "en": "Incoming: attended transfer to follow-me, declined on the mobile",
        },
        "2-25": {
            "ru": "Входящий: перевод с запросом на FollowMe, приняли на рабочем месте",
            "en": "Incoming: attended transfer to follow-me, accepted at the desk",
        },
        "2-26": {
            "ru": "Входящий: перевод с запросом на FollowMe, отказались на рабочем месте",
            "en": "Incoming: attended transfer to follow-me, declined at the desk",
        },
        "2-27": {
            "ru": "Входящий: перевод без запроса на FollowMe, ответили на рабочем месте",
            "en": "Incoming: blind transfer to follow-me, answered at the desk",
        },
        "2-28": {
            "ru": "Входящий: перевод без запроса на FollowMe, ответили на мобильном",
            "en": "Incoming: blind transfer to follow-me, answered on the mobile",
        },
        "2-29": {
            "ru": "Входящий: перевод без запроса на FollowMe, никто не ответил",
            "en": "Incoming: blind transfer to follow-me, nobody answers",
        },
        "2-30": {
            "ru": "Входящий: перевод с запросом на FollowMe, никто не ответил",
            "en": "Incoming: attended transfer to follow-me, nobody answers",
        },
    }
)

DESCRIPTIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "2-18": {
            "ru": "Первый менеджер ответил клиенту, спрашивает второго и отдаёт ему клиента; второй так же отдаёт его третьему. "
            "Завершение звонка называет первого. В чате: «Завершен» с третьим и вся цепочка в строке 🔀.",
            "en": "The first manager answers the customer, asks the second one and hands the customer over; the second hands him to the "
            "third the same way. The call's hangup names the first. The chat shows “Ended” with the third and the whole chain in "
            "the line 🔀.",
        },
        "2-19": {
            "ru": "Третий менеджер говорит со вторым. Тем временем первый ответил клиенту и переводит его, не дожидаясь второго; тот не "
            "берёт трубку, звонок потерян. В чате два сообщения: «Завершен (внутр.)» третьего со вторым и «Завершен» клиента с "
            "первым, без строки 🔀.",
            "en": "The third manager talks with the second. Meanwhile the first one answers a customer and transfers him without "
            "waiting for the second, who does not pick up; the call is lost. The chat shows two messages: “Ended (internal)” of "
            "the third with the second, and “Ended” of the customer with the first and no line 🔀.",
        },
        "2-20": {
            "ru": "Третий менеджер говорит со вторым. Тем временем первый ответил клиенту и звонит второму, тот 28 секунд не берёт "
            "трубку; клиент возвращается к первому. В чате два сообщения: «Завершен (внутр.)» третьего со вторым и «Завершен» "
            "клиента с первым, без строки 🔀.",
            "en": "The third manager talks with the second. Meanwhile the first one answers a customer and rings the second, who does "
            "not pick up for 28 seconds; the customer returns to the first. The chat shows two messages: “Ended (internal)” of "
            "the third with the second, and “Ended” of the customer with the first and no line 🔀.",
        },
        "2-21": {
            "ru": "Как 2-19, но второй менеджер заканчивает свой разговор и берёт трубку, пока клиент ждёт. В чате два сообщения: "
            "сперва «Завершен (внутр.)» третьего со вторым, потом «Завершен» клиента со вторым и строка 🔀 первый → второй.",
            "en": "As 2-19, but the second manager ends his own talk and picks up while the customer still waits. The chat shows two "
            "messages: first “Ended (internal)” of the third with the second, then “Ended” of the customer with the second and "
            "the line 🔀 first → second.",
        },
        "2-22": {
            "ru": "Как 2-20, но второй менеджер ставит свой разговор на удержание, соглашается, говорит с клиентом и возвращается к "
            "собеседнику. В чате два сообщения, которые не смешиваются: «Завершен» клиента со вторым и строка 🔀 первый → второй; "
            "позже «Завершен (внутр.)» третьего со вторым.",
            "en": "As 2-20, but the second manager puts his own talk on hold, agrees, talks with the customer and returns to his talk. "
            "The chat shows two messages that do not mix: “Ended” of the customer with the second and the line 🔀 first → second; "
            "later “Ended (internal)” of the third with the second.",
        },
        "2-23": {
            "ru": "Первый менеджер ответил клиенту и звонит на номер FollowMe: звонит телефон второго менеджера, через 15 секунд и его "
            "мобильный. Второй отвечает на мобильном, соглашается и получает клиента. В чате: «Завершен» с 📱 и номером мобильного "
            "и строка 🔀 первый → 📱.",
            "en": "The first manager answers the customer and calls the follow-me number: the second manager's telephone rings, after "
            "15 seconds his mobile too. He answers on the mobile, agrees and is given the customer. The chat shows “Ended” with 📱 "
            "and the mobile's number, and the line 🔀 first → 📱.",
        },
        "2-24": {
            "ru": "Как 2-23, но, ответив на мобильном, второй менеджер отказывается; клиент возвращается к первому. Завершение "
            "мобильного говорит «отвечен». В чате: «Завершен» с первым, без строки 🔀, о мобильном ни слова.",
            "en": "As 2-23, but having answered on his mobile the second manager declines; the customer returns to the first. The "
            "mobile's hangup says answered. The chat shows “Ended” with the first, no line 🔀 and not a word of the mobile.",
        },
        "2-25": {
            "ru": "Как 2-23, но второй менеджер берёт трубку на рабочем месте, пока звонит и мобильный, соглашается и получает клиента. "
            "В чате: «Завершен» со вторым и строка 🔀 первый → второй, о мобильном ни слова.",
            "en": "As 2-23, but the second manager picks up at his desk while the mobile rings too, agrees and is given the customer. "
            "The chat shows “Ended” with the second and the line 🔀 first → second, and not a word of the mobile.",
        },
        "2-26": {
            "ru": "Как 2-25, но второй менеджер отказывается; клиент возвращается к первому. В чате: «Завершен» с первым, без строки 🔀.",
            "en": "As 2-25, but the second manager declines; the customer returns to the first. The chat shows “Ended” with the first "
            "and no line 🔀.",
        },
        "2-27": {
            "ru": "Первый менеджер ответил клиенту и переводит его на номер FollowMe, не дожидаясь ответа: звонит телефон второго "
            "менеджера, через 15 секунд и его мобильный; второй берёт трубку на рабочем месте. В чате: «Завершен» со вторым и "
            "строка 🔀 первый → второй.",
            "en": "The first manager answers the customer and transfers him to the follow-me number without waiting: the second "
            "manager's telephone rings, after 15 seconds his mobile too; he picks up at his desk. The chat shows “Ended” with the "
            "second and the line 🔀 first → second.",
        },
        "2-28": {
            "ru": "Как 2-27, но второй менеджер отвечает на мобильном. Хост не присылает завершения самого звонка, итог приходит через "
            "несколько секунд. В чате: «Завершен» с 📱 и номером мобильного и строка 🔀 первый → 📱, длительность по нашим часам.",
            "en": "As 2-27, but the second manager answers on his mobile. The host sends no hangup of the call itself, so the final "
            "comes some seconds later. The chat shows “Ended” with 📱 and the mobile's number and the line 🔀 first → 📱, the length "
            "by our own clock.",
        },
        "2-29": {
            "ru": "Как 2-27, но не отвечает никто, звонок потерян. Завершение никого не называет и говорит «не отвечен». В чате: "
            "«Завершен» с первым, ведь с ним клиент говорил, без строки 🔀.",
            "en": "As 2-27, but nobody answers and the call is lost. The hangup names nobody and says not answered. The chat shows "
            "“Ended” with the first, to whom the customer did talk, and no line 🔀.",
        },
        "2-30": {
            "ru": "Как 2-23, но не отвечают ни телефон второго менеджера, ни его мобильный; клиент возвращается к первому. В чате: "
            "«Завершен» с первым, без строки 🔀.",
            "en": "As 2-23, but neither the second manager's telephone nor his mobile answers; the customer returns to the first. The "
            "chat shows “Ended” with the first and no line 🔀.",
        },
    }
)
