"""Titles and descriptions of the calls that are handed on twice, to a busy colleague or to a follow-me number, by pattern and language."""

from collections.abc import Mapping
from types import MappingProxyType

TITLES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "2-18": {"ru": "Входящий: два перевода с запросом подряд", "en": "Incoming: two attended transfers, one after the other"},
        "2-19": {
            "ru": "Входящий: перевод без запроса на занятого, не ответил",
            "en": "Incoming: blind transfer to a busy colleague, not answered",
        },
        "2-20": {
            "ru": "Входящий: перевод с запросом на занятого, не ответил",
            "en": "Incoming: attended transfer to a busy colleague, not answered",
        },
        "2-21": {
            "ru": "Входящий: перевод без запроса на занятого, ответил после своего разговора",
            "en": "Incoming: blind transfer to a busy colleague, who answers after his talk",
        },
        "2-22": {
            "ru": "Входящий: перевод с запросом на занятого, он удержал свой разговор и принял",
            "en": "Incoming: attended transfer to a busy colleague, who holds his talk and accepts",
        },
        "2-23": {
            "ru": "Входящий: FollowMe с запросом, приняли на мобильном",
            "en": "Incoming: attended to follow-me, accepted on the mobile",
        },
        "2-24": {
            "ru": "Входящий: FollowMe с запросом, на мобильном отказались",
            "en": "Incoming: attended to follow-me, refused on the mobile",
        },
        "2-25": {
            "ru": "Входящий: FollowMe с запросом, приняли на внутреннем",
            "en": "Incoming: attended to follow-me, accepted at the desk",
        },
        "2-26": {
            "ru": "Входящий: FollowMe с запросом, на внутреннем отказались",
            "en": "Incoming: attended to follow-me, refused at the desk",
        },
        "2-27": {
            "ru": "Входящий: FollowMe без запроса, ответили на внутреннем",
            "en": "Incoming: blind to follow-me, answered at the desk",
        },
        "2-28": {
            "ru": "Входящий: FollowMe без запроса, ответили на мобильном",
            "en": "Incoming: blind to follow-me, answered on the mobile",
        },
        "2-29": {"ru": "Входящий: FollowMe без запроса, никто не ответил", "en": "Incoming: blind to follow-me, nobody answers"},
        "2-30": {"ru": "Входящий: FollowMe с запросом, никто не ответил", "en": "Incoming: attended to follow-me, nobody answers"},
    }
)

DESCRIPTIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "2-18": {
            "ru": "Менеджер ответил клиенту, спрашивает второго и отдаёт ему клиента; второй так же отдаёт его третьему. Завершение "
            "звонка называет первого. В чате: «Завершен» с третьим и вся цепочка в строке 🔀.",
            "en": "The manager answers the customer, asks the second one and hands the call over; he hands it to the third the same way. "
            "The call's hangup names the first. The chat shows “Ended” with the third and the whole chain in the line 🔀.",
        },
        "2-19": {
            "ru": "Третий менеджер говорит со вторым. Тем временем первый ответил клиенту и переводит его, не дожидаясь второго; тот "
            "трубку не берёт, звонок потерян. В чате два сообщения: «Завершен (внутр.)» третьего со вторым и «Завершен» клиента с "
            "первым, без 🔀.",
            "en": "The third manager talks with the second. Meanwhile the first one answers a customer and transfers him without waiting "
            "for the second, who does not pick up; the call is lost. The chat shows two messages: “Ended (internal)” of the third with "
            "the second, and “Ended” of the customer with the first, no 🔀.",
        },
        "2-20": {
            "ru": "Третий менеджер говорит со вторым. Тем временем первый ответил клиенту и звонит второму; тот 28 секунд не берёт "
            "трубку, клиент возвращается к первому. В чате два сообщения: «Завершен (внутр.)» третьего со вторым и «Завершен» клиента "
            "с первым, без 🔀.",
            "en": "The third manager talks with the second. Meanwhile the first one answers a customer and rings the second, who does "
            "not pick up for 28 seconds; the customer returns to the first. The chat shows two messages: “Ended (internal)” of the "
            "third with the second, and “Ended” of the customer with the first, no 🔀.",
        },
        "2-21": {
            "ru": "Как 2-19, но второй менеджер заканчивает свой разговор и берёт трубку, пока клиент ждёт. В чате два сообщения: сперва "
            "«Завершен (внутр.)» третьего со вторым, потом «Завершен» клиента со вторым и строка 🔀 первый → второй.",
            "en": "As 2-19, but the second manager ends his own talk and picks up while the customer still waits. The chat shows two "
            "messages: first “Ended (internal)” of the third with the second, then “Ended” of the customer with the second and the "
            "line 🔀 first → second.",
        },
        "2-22": {
            "ru": "Как 2-20, но второй менеджер удерживает свой разговор, соглашается, говорит с клиентом и возвращается к собеседнику. "
            "В чате два сообщения, которые не смешиваются: «Завершен» клиента со вторым и 🔀 первый → второй; позже «Завершен "
            "(внутр.)» третьего со вторым.",
            "en": "As 2-20, but the second manager holds his own talk, agrees, talks with the customer and returns to his talk. The chat "
            "shows two messages that do not mix: “Ended” of the customer with the second and 🔀 first → second; later “Ended "
            "(internal)” of the third with the second.",
        },
        "2-23": {
            "ru": "Менеджер ответил клиенту и звонит на номер FollowMe: тот вызывает телефон второго менеджера, через 15 секунд и его "
            "мобильный. Второй отвечает по мобильному и забирает клиента. В чате: «Завершен» с 📱 и номером мобильного и строка 🔀 "
            "менеджер → 📱.",
            "en": "The manager answers the customer and calls the follow-me number: it rings the second manager's telephone, after 15 "
            "seconds his mobile too. He answers on the mobile and takes the customer. The chat shows “Ended” with 📱 and the mobile's "
            "number, and the line 🔀 manager → 📱.",
        },
        "2-24": {
            "ru": "Как 2-23, но ответив по мобильному, второй менеджер клиента не берёт; клиент возвращается к первому. Завершение "
            "мобильного говорит «отвечен». В чате: «Завершен» с первым менеджером, без 🔀, о мобильном ни слова.",
            "en": "As 2-23, but the second manager answers on his mobile and does not take the customer, who returns to the first. The "
            "mobile's hangup says answered. The chat shows “Ended” with the first manager, no 🔀 and not a word of the mobile.",
        },
        "2-25": {
            "ru": "Как 2-23, но второй менеджер берёт трубку на рабочем месте, пока звонит и мобильный, и забирает клиента. В чате: "
            "«Завершен» со вторым менеджером и строка 🔀 первый → второй, о мобильном ни слова.",
            "en": "As 2-23, but the second manager picks up at his desk while the mobile rings too, and takes the customer. The chat "
            "shows “Ended” with the second manager and the line 🔀 first → second, not a word of the mobile.",
        },
        "2-26": {
            "ru": "Как 2-25, но второй менеджер клиента не берёт; клиент возвращается к первому. В чате: «Завершен» с первым менеджером, "
            "без 🔀.",
            "en": "As 2-25, but the second manager does not take the customer, who returns to the first. The chat shows “Ended” with the "
            "first manager and no 🔀.",
        },
        "2-27": {
            "ru": "Менеджер ответил клиенту и, не дожидаясь ответа, переводит его на номер FollowMe: звонит телефон второго менеджера, "
            "через 15 секунд и его мобильный; второй берёт трубку на рабочем месте. В чате: «Завершен» со вторым и строка 🔀 первый → "
            "второй.",
            "en": "The manager answers the customer and transfers him to the follow-me number without waiting: the second manager's "
            "telephone rings, after 15 seconds his mobile too; he picks up at his desk. The chat shows “Ended” with the second and the "
            "line 🔀 first → second.",
        },
        "2-28": {
            "ru": "Как 2-27, но второй менеджер отвечает по мобильному. Хост не присылает завершения самого звонка, итог приходит через "
            "несколько секунд. В чате: «Завершен» с 📱 и номером мобильного, длительность по нашим часам, строка 🔀 менеджер → 📱.",
            "en": "As 2-27, but the second manager answers on his mobile. The host sends no hangup of the call itself, so the final "
            "comes some seconds later. The chat shows “Ended” with 📱 and the mobile's number, the length by our own clock, and the "
            "line 🔀 manager → 📱.",
        },
        "2-29": {
            "ru": "Как 2-27, но не отвечает никто, звонок потерян. Завершение никого не называет и говорит «не отвечен». В чате: "
            "«Завершен» с первым менеджером, ведь с ним клиент говорил, без 🔀.",
            "en": "As 2-27, but nobody answers and the call is lost. The hangup names nobody and says not answered. The chat shows "
            "“Ended” with the first manager, to whom the customer did talk, and no 🔀.",
        },
        "2-30": {
            "ru": "Менеджер звонит на номер FollowMe, но ни телефон второго менеджера, ни его мобильный не отвечают; клиент возвращается "
            "к первому. В чате: «Завершен» с первым менеджером, без 🔀.",
            "en": "The manager calls the follow-me number, but neither the second manager's telephone nor his mobile answers; the "
            "customer returns to the first. The chat shows “Ended” with the first manager and no 🔀.",
        },
    }
)
