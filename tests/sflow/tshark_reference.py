"""What tshark says of captured sFlow: an independent decoder to compare with.

Run as a program it writes data/*.json anew.
"""

from __future__ import annotations

import binascii
import json
import struct
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
CAPTURES = sorted(DATA.glob("*.pcap"))
_LINK_TO_UDP = 14 + 20 + 8
_PORT = 6343


def datagrams(capture: Path) -> list[bytes]:
    """UDP payloads of a little-endian pcap file of Ethernet frames without IP options."""
    data = capture.read_bytes()
    assert data[:4] == b"\xd4\xc3\xb2\xa1"
    found = []
    offset = 24
    while offset < len(data):
        (size,) = struct.unpack_from("<8xI", data, offset)
        offset += 16
        found.append(data[offset + _LINK_TO_UDP : offset + size])
        offset += size
    return found


def ask(payloads: list[bytes]) -> list[tuple[list[dict[str, Any]], bool]]:
    """For each payload the samples that tshark finds, and whether it calls the datagram malformed."""
    capture = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    for payload in payloads:
        udp = struct.pack(">HHHH", 40000, _PORT, 8 + len(payload), 0)
        ip = struct.pack(">BBHIBBH", 0x45, 0, 28 + len(payload), 0, 64, 17, 0) + b"\x7f\0\0\1" * 2
        packet = bytes(12) + b"\x08\x00" + ip + udp + payload
        capture += struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet
    answer = subprocess.run(
        ["tshark", "-n", "-r", "-", "-d", f"udp.port=={_PORT},sflow", "-T", "pdml"],
        input=bytes(capture),
        capture_output=True,
        check=True,
    )
    found = []
    for packet in ElementTree.fromstring(answer.stdout).iter("packet"):
        layer = next(proto for proto in packet.findall("proto") if proto.get("name") == "sflow")
        malformed = any(proto.get("name") == "_ws.malformed" for proto in packet.findall("proto"))
        samples = [_sample(field) for field in layer.findall("field") if _has(field, "sflow_245.sampletype")]
        found.append((samples, malformed))
    return found


def expected(capture: Path) -> list[list[dict[str, Any]]]:
    """The samples of each datagram of a capture, as tshark sees them."""
    payloads = datagrams(capture)
    whole = ask(payloads)
    return [
        [sample for single, _ in ask(_apart(payload)) for sample in single] if malformed else samples
        for payload, (samples, malformed) in zip(payloads, whole, strict=True)
    ]


def load(capture: Path) -> list[list[dict[str, Any]]]:
    """The same from the file beside the capture."""
    datagrams_: list[list[dict[str, Any]]] = []
    for line in capture.with_suffix(".json").read_text().splitlines():
        sample = json.loads(line)
        number = sample.pop("datagram")
        while len(datagrams_) <= number:
            datagrams_.append([])
        datagrams_[number].append(sample)
    return datagrams_


def _apart(payload: bytes) -> list[bytes]:
    """One datagram for each sample of a datagram with an IPv4 agent, cut where the samples' lengths say.

    Of expanded flow samples only the raw header records are left.
    """
    (count,) = struct.unpack_from(">I", payload, 24)
    parts = []
    offset = 28
    for _ in range(count):
        (size,) = struct.unpack_from(">4xI", payload, offset)
        sample = payload[offset : offset + 8 + size]
        if sample[:4] == b"\0\0\0\3":
            sample = _raw_only(sample)
        parts.append(payload[:24] + struct.pack(">I", 1) + sample)
        offset += 8 + size
    return parts


def _raw_only(sample: bytes) -> bytes:
    """The expanded flow sample without the records that are not raw headers: tshark can not step over all of them."""
    (count,) = struct.unpack_from(">I", sample, 48)
    kept = []
    offset = 52
    for _ in range(count):
        kind, size = struct.unpack_from(">II", sample, offset)
        if kind == 1:
            kept.append(sample[offset : offset + 8 + size])
        offset += 8 + size
    data = sample[8:48] + struct.pack(">I", len(kept)) + b"".join(kept)
    return sample[:4] + struct.pack(">I", len(data)) + data


def _has(field: ElementTree.Element, name: str) -> bool:
    return any(child.get("name") == name for child in field.findall("field"))


def _sample(field: ElementTree.Element) -> dict[str, Any]:
    own = {child.get("name", ""): child for child in field.findall("field")}

    def number(*names: str) -> int:
        for name in names:
            if name in own:
                return int(own[name].get("show", ""), 0)
        raise KeyError(names)

    kind = number("sflow_245.sampletype")
    if kind in (2, 4):
        return {
            "type": kind,
            "sequence": number("sflow.counters_sample.sequence_number"),
            "source_type": number("sflow.counters_sample.source_id_type", "sflow.counters_sample.source_id_class"),
            "source_index": number("sflow.counters_sample.source_id_index", "sflow.counters_sample.index"),
            "records": number("sflow.counters_sample.counters_records"),
        }
    sample: dict[str, Any] = {
        "type": kind,
        "sequence": number("sflow.flow_sample.sequence_number"),
        "source_type": number("sflow.flow_sample.source_id_type", "sflow.flow_sample.source_id_class"),
        "source_index": number("sflow.flow_sample.source_id_index", "sflow.flow_sample.index"),
        "rate": number("sflow.flow_sample.sampling_rate"),
        "pool": number("sflow.flow_sample.sample_pool"),
        "drops": number("sflow.flow_sample.dropped_packets"),
        "input": _interface(field, own, "input"),
        "output": _interface(field, own, "output"),
        "records": [],
    }
    for child in field.findall("field"):
        inner = {grandchild.get("name", ""): grandchild for grandchild in child.findall("field")}
        if "sflow_5.flow_data_length" not in inner:
            continue
        kind = int(inner["sflow_245.flow_record_format"].get("show", ""))
        sample["records"].append([kind, int(inner["sflow_5.flow_data_length"].get("show", ""))])
        if "sflow_245.header_protocol" in inner:
            size = int(inner["sflow_245.header.sampled_header_length"].get("show", ""))
            header = inner["sflow_245.header"]
            octets = bytes.fromhex(header.get("value", ""))[:size]
            addresses = _addresses(header)
            sample |= {
                "protocol": int(inner["sflow_245.header_protocol"].get("show", "")),
                "frame_length": int(inner["sflow_245.header.frame_length"].get("show", "")),
                "header_size": size,
                "header_crc32": binascii.crc32(octets),
                "source": addresses[0],
                "destination": addresses[1],
            }
    return sample


def _interface(sample: ElementTree.Element, own: dict[str, ElementTree.Element], side: str) -> int:
    """ifIndex; the compact form has it split up one level down on the output side."""
    for name in (f"sflow.flow_sample.{side}_interface_value", f"sflow.flow_sample.{side}_interface"):
        if name in own:
            nested = own[name].find(f"field[@name='sflow.flow_sample.{side}_interface_value']")
            return int((own[name] if nested is None else nested).get("show", ""), 0)
    raise KeyError(side)


def _addresses(header: ElementTree.Element) -> tuple[str | None, str | None]:
    """Source and destination of the outermost IP header in a sampled header, as hex."""
    for proto in header.findall("proto"):
        if proto.get("name") in ("ip", "ipv6"):
            fields = {child.get("name"): child.get("value") for child in proto.findall("field")}
            name = proto.get("name")
            return fields[f"{name}.src"], fields[f"{name}.dst"]
    return None, None


def main() -> None:
    for capture in CAPTURES:
        lines = [
            json.dumps({"datagram": number, **sample}, separators=(",", ":"))
            for number, samples in enumerate(expected(capture))
            for sample in samples
        ]
        capture.with_suffix(".json").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
