"""What alumni reacts to: a posted notice is addressed to the members, a share at a time."""

from __future__ import annotations

from schemas.alumni import NoticePosted
from services.alumni import service
from services.alumni.model import Notice, next_share


@service.on(NoticePosted)
def address_the_members(event: NoticePosted) -> None:
    """Heard twice, or again after a crash, it goes on behind the last share and tells nobody twice."""
    notice = Notice.load(event.notice_id)
    while notice is not None and (share := next_share(notice)):
        notice.address(share)
        notice.commit()
