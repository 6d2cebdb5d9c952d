"""The roles that patterns are made of. A key means the same in every pattern, so that a form keeps what was chosen."""

from typing import Final

from tester.patterns.pattern import Role, RoleKind

PHONE: Final = Role(key="external_phone", kind=RoleKind.PHONE, title={"ru": "Внешний номер", "en": "Outside number"})
SECOND_PHONE: Final = Role(
    key="second_external_phone", kind=RoleKind.PHONE, title={"ru": "Второй внешний номер", "en": "Second outside number"}
)
FORBIDDEN_PHONE: Final = Role(key="forbidden_phone", kind=RoleKind.PHONE, title={"ru": "Запрещённый номер", "en": "Forbidden number"})
LINE: Final = Role(key="line_id", kind=RoleKind.LINE, title={"ru": "Линия", "en": "Line"})
BACKUP_LINE: Final = Role(key="backup_line_id", kind=RoleKind.LINE, title={"ru": "Резервная линия", "en": "Backup line"})
MANAGER: Final = Role(key="internal_phone", kind=RoleKind.EXTENSION, title={"ru": "Менеджер", "en": "Manager"})
SECOND: Final = Role(key="second_internal_phone", kind=RoleKind.EXTENSION, title={"ru": "Второй менеджер", "en": "Second manager"})
THIRD: Final = Role(key="third_internal_phone", kind=RoleKind.EXTENSION, title={"ru": "Третий менеджер", "en": "Third manager"})
ALSO_RINGS_1: Final = Role(
    key="also_rings_1", kind=RoleKind.EXTENSION, title={"ru": "Также звонит у", "en": "Also rings at"}, is_optional=True
)
ALSO_RINGS_2: Final = Role(
    key="also_rings_2", kind=RoleKind.EXTENSION, title={"ru": "Также звонит у (2)", "en": "Also rings at (2)"}, is_optional=True
)
MOBILE: Final = Role(key="mobile_phone", kind=RoleKind.MOBILE, title={"ru": "Мобильный менеджера", "en": "Manager's mobile"})
FOLLOW_ME: Final = Role(
    key="follow_me_number", kind=RoleKind.SERVICE, title={"ru": "Номер FollowMe", "en": "Follow-me number"}, default="300"
)
DEPARTMENT: Final = Role(
    key="department_number", kind=RoleKind.SERVICE, title={"ru": "Номер отдела", "en": "Department number"}, default="901"
)
CALLER: Final = Role(key="internal_caller", kind=RoleKind.EXTENSION, title={"ru": "Кто звонит", "en": "Who calls"})
CALLEE: Final = Role(key="internal_callee", kind=RoleKind.EXTENSION, title={"ru": "Кому звонит", "en": "Who is called"})
RINGS_FIRST: Final = Role(key="rings_first", kind=RoleKind.EXTENSION, title={"ru": "Звонит первым", "en": "Rings first"})
MOBILE_LINE: Final = Role(
    key="backup_line_id",
    kind=RoleKind.LINE,
    title={"ru": "Резервная линия (для мобильного)", "en": "Backup line (for the mobile)"},
    is_optional=True,
)
