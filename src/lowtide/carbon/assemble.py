"""From the carbon section of params.yaml to a chain of live sources."""

import re
from collections.abc import Callable
from pathlib import Path

from lowtide.carbon import tokens
from lowtide.carbon.annual import FlatSource, annual_source
from lowtide.carbon.cache import DiskCache
from lowtide.carbon.chain import ChainSource, Estimate
from lowtide.carbon.forecast.issued import NAME as ISSUED
from lowtide.carbon.forecast.issued import IssuedFile
from lowtide.carbon.forecaster import DriverSource, Forecaster
from lowtide.carbon.generation import MIX, GenerationDrivers, MixProvider
from lowtide.carbon.history import HistoryFile
from lowtide.carbon.live import LiveSource
from lowtide.carbon.providers import Provider
from lowtide.carbon.providers.carbon_aware_sdk import CarbonAwareSdk
from lowtide.carbon.providers.electricity_maps import ElectricityMaps
from lowtide.carbon.providers.energy_charts import EnergyCharts, covers
from lowtide.carbon.providers.gb import GreatBritain
from lowtide.carbon.providers.open_meteo import OpenMeteo
from lowtide.carbon.providers.watttime import WattTime
from lowtide.carbon.rows import INTENSITY
from lowtide.carbon.signal import Rung
from lowtide.carbon.typical import TypicalSource
from lowtide.carbon.wall import Wall
from lowtide.carbon.weather import WEATHER, WeatherDrivers, WeatherSource
from lowtide.errors import CarbonError
from lowtide.params import CarbonParams, LiveName


def open_chain(params: CarbonParams, source: LiveName, folder: Path, wall: Wall) -> ChainSource:
    """The chain below `source`; cache and history live in `folder`.

    Raises:
        CarbonError: a token is missing, the zone is not the source's, or the two sources do not
            give the same signal.
    """
    cache = DiskCache(folder, INTENSITY, wall)
    forecasts, weather = IssuedFile(folder / ISSUED), _weather(params, folder, wall)

    def drivers(provider: Provider) -> list[DriverSource]:
        found: list[DriverSource] = [] if weather is None else [weather]
        if isinstance(provider, MixProvider):
            mixes = DiskCache(folder, MIX, wall)
            found.append(GenerationDrivers(provider, mixes, wall))
        return found

    def live(name: LiveName, base_url: str | None) -> LiveSource:
        provider = open_provider(name, params.zone, base_url, wall)
        safe_zone = re.sub(r"[^A-Za-z0-9_-]", "_", params.zone)
        history = HistoryFile(folder / f"history-{name}-{safe_zone}.json")
        return LiveSource(provider, cache, history, wall, Forecaster(forecasts, drivers(provider)))

    first = live(source, params.base_url)
    second = None if params.second_source is None else live(params.second_source, None)
    return ChainSource(first, second, _estimates(params))


def _weather(params: CarbonParams, folder: Path, wall: Wall) -> WeatherDrivers | None:
    if params.weather is None:
        return None
    provider = OpenMeteo(wall, params.weather.base_url)
    source = WeatherSource(provider, DiskCache(folder, WEATHER, wall))
    return WeatherDrivers(source, params.weather.places)


def open_provider(name: LiveName, zone: str, base_url: str | None, wall: Wall) -> Provider:
    makers: dict[LiveName, Callable[[], Provider]] = {
        "gb": lambda: GreatBritain(zone, wall, base_url),
        "electricity-maps": lambda: ElectricityMaps(
            zone, tokens.read(tokens.ELECTRICITY_MAPS), wall, base_url
        ),
        "watttime": lambda: WattTime(
            zone,
            tokens.read(tokens.WATTTIME_USER),
            tokens.read(tokens.WATTTIME_PASSWORD),
            wall,
            base_url,
        ),
        "energy-charts": lambda: EnergyCharts(zone, wall, base_url),
        "carbon-aware-sdk": lambda: CarbonAwareSdk(zone, wall, base_url),
    }
    return makers[name]()


def live_source_of(zone: str) -> LiveName | None:
    """What `auto` takes for a zone, given the tokens at hand; None: nothing live fits."""
    if zone.partition("-")[0] == "GB" and zone != "GB-NIR":
        return "gb"
    if tokens.has(tokens.ELECTRICITY_MAPS):
        return "electricity-maps"
    if tokens.has(tokens.WATTTIME_USER, tokens.WATTTIME_PASSWORD):
        return "watttime"
    return "energy-charts" if covers(zone) else None


def _estimates(params: CarbonParams) -> list[tuple[Rung, Estimate]]:
    """What is known of the zone without any network, best first."""
    found: list[tuple[Rung, Estimate]] = []
    makers: list[tuple[Rung, Callable[[str], Estimate]]] = [
        ("profile", TypicalSource),
        ("annual", annual_source),
    ]
    for rung, make in makers:
        try:
            found.append((rung, make(params.zone)))
        except CarbonError:
            continue  # not in that table
    if params.constant_g_per_kwh is not None:
        flat = FlatSource(
            params.zone, params.constant_g_per_kwh, "carbon.constant_g_per_kwh", "unknown"
        )
        found.append(("constant", flat))
    return found
