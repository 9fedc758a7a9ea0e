"""What alumni reacts to: a posted notice is addressed to the members, a share at a time."""

from __future__ import annotations

from schemas.alumni import NoticePosted
from services.alumni import service
from services.alumni.model import Notice, next_share


@service.on(NoticePosted)
def address_the_members(event: NoticePosted) -> None:
    """Heard twice, or again after a crash, it goes on behind the last share and tells nobody twice."""
    notice = Notice.load(event.notice_id)
    if notice is None:
        return
    last = False
    while not last:
        share, last = next_share(notice)
        # A network in which nobody is has one share with nobody in it, so that its end is known too.
        if share or not notice.shares:
            notice.address(share, last)
            notice.commit()
