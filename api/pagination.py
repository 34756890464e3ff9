"""Pages of lists: what a caller asks for and what every list answers."""

from collections.abc import Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field

T = TypeVar("T")

MAX_PAGE = 1_000_000
MAX_PAGE_SIZE = 100


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: Sequence[T] = Field(description="What is on this page")
    total: int = Field(description="How many there are on all pages")
    page: int = Field(description="This page, from 1")
    page_size: int = Field(description="Most items of a page")
    total_pages: int = Field(description="How many pages there are")


class PageRequest:
    """Which page of what size."""

    def __init__(
        self,
        page: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Page, from 1")] = 1,
        page_size: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE, description="Items a page")] = 20,
    ) -> None:
        self.page = page
        self.page_size = page_size

    @property
    def offset(self) -> int:
        """How many items come before the page."""
        return (self.page - 1) * self.page_size

    def of(self, items: Sequence[T], total: int) -> Page[T]:
        """The page with these items out of `total`."""
        return Page[T](
            items=items,
            total=total,
            page=self.page,
            page_size=self.page_size,
            total_pages=-(-total // self.page_size),
        )


Paging = Annotated[PageRequest, Depends()]
