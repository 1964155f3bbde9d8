"""Consequences of faults for a network as the work of a campaign: stored, resumed and shared out as any other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwgen.cores.dsp_gemm import DspGemmConfig
from hwgen.faults.campaign import Work
from hwgen.faults.consequence import CONSEQUENCE, consequences
from hwgen.faults.consequence_campaign import site_of
from hwgen.faults.consequence_minilm import MiniLmSite
from hwgen.faults.consequence_tile import TileSite
from hwgen.faults.models import Faults
from hwgen.faults.subject import CoreSubject

__all__ = ["NetworkWork"]


@dataclass(eq=False, kw_only=True)
class NetworkWork(Work):
    """Simulates faults in a tile of a network, and follows what differs to the network's answer.

    Parameters
    ----------
    subject : Subject
        The core with the tile, see :attr:`site`.
    network, layer : str
        See :func:`hwgen.faults.consequence_campaign.network_campaign`.
    image : int
        Number of the digit, or of the sentence.
    config : DspGemmConfig
        The core.
    """

    network: str
    layer: str
    image: int
    config: DspGemmConfig

    outcome: ClassVar[np.dtype[np.void]] = CONSEQUENCE
    threads: ClassVar[bool] = False

    @classmethod
    def of(cls, network: str, layer: str, image: int, config: DspGemmConfig) -> NetworkWork:
        """A tile by its name.

        Raises
        ------
        BadInput
            If there is no such network, product or image.
        MissingTool
            If a package with weights or data is missing.
        """
        site = site_of(network, layer, image, config)
        made = cls(subject=site.subject(config), network=network, layer=layer, image=image, config=config)
        made.__dict__["_site"] = site
        return made

    @property
    def site(self) -> TileSite | MiniLmSite:
        """The tile; made when it is first needed in a process."""
        if "_site" not in self.__dict__:
            self.__dict__["_site"] = site_of(self.network, self.layer, self.image, self.config)
        found: TileSite | MiniLmSite = self.__dict__["_site"]
        return found

    def __getstate__(self) -> dict[str, Any]:
        # Weights and sessions are not sent.
        return {name: value for name, value in self.__dict__.items() if name != "_site"}

    def __call__(self, rows: Faults) -> Faults:
        """One row of :data:`hwgen.faults.consequence.CONSEQUENCE` for each row of a plan."""
        assert isinstance(self.subject, CoreSubject)
        return consequences(self.site, self.subject, rows, lanes=self.lanes).rows
