"""Types by first bytes: heads of files that real programs wrote, and of the few formats written here by their rules."""

import bz2
import gzip
import io
import lzma
import re
import sqlite3
import tarfile
import wave
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadstream.core.media import SNIFF_BYTES, detect
from uploadstream.core.signatures import SIGNATURES, signed

OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
OPEN_XML = "application/vnd.openxmlformats-officedocument."

# A file's ending and the program that wrote it; its type; its first bytes, as many as the type needs and some more.
HEADS = {
    "png by Pillow": ("image/png", "89504e47 0d0a1a0a 0000000d 49484452 00000040 00000040"),
    "jpg by Pillow": ("image/jpeg", "ffd8ffe0 00104a46 49460001 01000001 00010000 ffdb0043"),
    "gif by Pillow": ("image/gif", "47494638 37614000 40008700 00eef6c0 cff6c4e8 e3b8cce2"),
    "webp by cwebp": ("image/webp", "52494646 6e300000 57454250 5650384c 62300000 2f3fc00f"),
    "bmp by ImageMagick": ("image/bmp", "424d3630 00000000 00003600 00002800 00004000 00004000"),
    "ico by Pillow": ("image/vnd.microsoft.icon", "00000100 05001010 00000000 2000e802 00005600 00001818"),
    "ico by ImageMagick": ("image/vnd.microsoft.icon", "00000100 01004040 00000100 20002842 00001600 00002800"),
    "tiff by Pillow": ("image/tiff", "49492a00 08000000 0a000001 04000100 00004000 00000101"),
    "psd by ImageMagick": ("image/vnd.adobe.photoshop", "38425053 00010000 00000000 00030000 00400000 00400008"),
    "avif by heif-enc": ("image/avif", "0000001c 66747970 61766966 00000000 61766966 6d696631"),
    "avif by Pillow": ("image/avif", "00000020 66747970 61766966 00000000 61766966 6d696631"),
    "heic by heif-enc": ("image/heic", "0000001c 66747970 68656963 00000000 6d696631 68656963"),
    "jxl by Pillow": ("image/jxl", "ff0a4f06 002d8802 003146b5 9f200000 152aa38c 1bbc9ceb"),
    "jxl by cjxl --container": ("image/jxl", "0000000c 4a584c20 0d0a870a 00000014 66747970 6a786c20"),
    "jp2 by Pillow": ("image/jp2", "0000000c 6a502020 0d0a870a 00000014 66747970 6a703220"),
    "icns by Pillow": ("image/icns", "69636e73 00285785 544f4320 00000048 69633037 0000abb5"),
    "dds by Pillow": ("image/vnd-ms.dds", "44445320 7c000000 0f100000 40000000 40000000 c0000000"),
    "mp4 by ffmpeg": ("video/mp4", "00000020 66747970 69736f6d 00000200 69736f6d 69736f32"),
    "mp4 by ffmpeg -movflags frag_keyframe": ("video/mp4", "00000024 66747970 69736f6d 00000200 69736f6d 69736f36"),
    "m4v by ffmpeg": ("video/mp4", "00000020 66747970 4d345620 00000200 4d345620 69736f6d"),
    "f4v by ffmpeg": ("video/mp4", "00000020 66747970 66347620 00000200 66347620 69736f6d"),
    "mov by ffmpeg": ("video/quicktime", "00000014 66747970 71742020 00000200 71742020 00000008"),
    "m4a by ffmpeg": ("audio/mp4", "0000001c 66747970 4d344120 00000200 4d344120 69736f6d"),
    "3gp by ffmpeg": ("video/3gpp", "0000001c 66747970 33677034 00000200 33677034 69736f6d"),
    "3g2 by ffmpeg": ("video/3gpp2", "0000001c 66747970 33673261 00010000 33673261 69736f6d"),
    "webm by ffmpeg": ("video/webm", "1a45dfa3 9f428681 0142f781 0142f281 0442f381 08428284 7765626d 42878104"),
    "mkv by ffmpeg": (
        "video/matroska",
        "1a45dfa3 a3428681 0142f781 0142f281 0442f381 08428288 6d617472 6f736b61 42878104",
    ),
    "mka by ffmpeg": (
        "video/matroska",
        "1a45dfa3 a3428681 0142f781 0142f281 0442f381 08428288 6d617472 6f736b61 42878104",
    ),
    "avi by ffmpeg": ("video/x-msvideo", "52494646 b6be0000 41564920 4c495354 ca220000 6864726c"),
    "flv by ffmpeg": ("video/x-flv", "464c5601 05000000 09000000 00120001 25000000 00000000"),
    "wmv by ffmpeg": ("video/x-ms-asf", "3026b275 8e66cf11 a6d900aa 0062ce6c fd020000 00000000"),
    "mpg by ffmpeg": ("video/mpeg", "000001ba 21000100 01a1a1ad 000001bb 000ca1a1 ad0421ff"),
    "vob by ffmpeg": ("video/mpeg", "000001ba 44000400 04014343 5bf80000 01bb000c a1a1ad04"),
    "ogv by ffmpeg": (
        "video/ogg",
        "4f676753 00020000 00000000 000003f4 de490000 00004c18 3f4e012a 80746865 6f726103 020100",
    ),
    "mp3 by ffmpeg": ("audio/mpeg", "49443304 00000000 00235453 53450000 000f0000 034c6176"),
    "mp3 by ffmpeg -write_id3v2 0": ("audio/mpeg", "fffb40c0 00000000 00000000 00000000 00000000 00496e66"),
    "mp3 by ffmpeg -ar 22050": ("audio/mpeg", "fff370c0 00000000 00000000 00496e66 6f000000 0f000000"),
    "mp2 by ffmpeg": ("audio/mpeg", "fffde0c4 ecccbdcb cccfffff fd080002 cfffffff ffcc51f7"),
    "aac by ffmpeg": ("audio/aac", "fff15040 213ffcde 02004c61 76633539 2e33372e 31303000"),
    "flac by ffmpeg": ("audio/flac", "664c6143 00000022 12001200 0002f100 04f30ac4 40f00000"),
    "ogg by ffmpeg": (
        "audio/ogg",
        "4f676753 00020000 00000000 00007b91 dbfc0000 00009d41 7370011e 01766f72 62697300 000000",
    ),
    "opus by ffmpeg": (
        "audio/ogg",
        "4f676753 00020000 00000000 0000d53f 1ad00000 0000e59d e0190113 4f707573 48656164 01013801",
    ),
    "spx by ffmpeg": (
        "audio/ogg",
        "4f676753 00020000 00000000 0000d530 a17c0000 0000100e 31690150 53706565 78202020 312e322e",
    ),
    "wav by ffmpeg": ("audio/wav", "52494646 ce580100 57415645 666d7420 10000000 01000100"),
    "aiff by ffmpeg": ("audio/aiff", "464f524d 000158b6 41494646 434f4d4d 00000012 00010000"),
    "aifc by ffmpeg": ("audio/aiff", "464f524d 000158b6 41494646 434f4d4d 00000012 00010000"),
    "au by ffmpeg": ("audio/basic", "2e736e64 00000020 00015888 00000003 0000ac44 00000001"),
    "caf by ffmpeg": ("audio/x-caf", "63616666 00010000 64657363 00000000 00000020 40e58880"),
    "tta by ffmpeg": ("audio/x-tta", "54544131 01000100 100044ac 000044ac 0000b5c0 04fca138"),
    "wv by ffmpeg": ("audio/x-wavpack", "7776706b ae4e0000 10040000 44ac0000 00000000 44ac0000"),
    "ac3 by ffmpeg": ("audio/ac3", "0b771ef8 4c402f84 2be1877b 875dfbe7 d5df3e7e f9f3e7cf"),
    "eac3 by ffmpeg": ("audio/ac3", "0b7700cf 7287c000 21061870 c3bdc3ae fdf3eaef 9f3f7cf9"),
    "mid by mido": ("audio/midi", "4d546864 00000006 00010001 01e04d54 726b0000 00080190"),
    "pdf by fpdf2": ("application/pdf", "25504446 2d312e33 0a25e9eb f1bf0a31 2030206f 626a0a3c"),
    "ps by ps2write": ("application/postscript", "25215053 2d41646f 62652d33 2e300a25 25496e76 6f636174"),
    "zip by zip": ("application/zip", "504b0304 14000000 08005a43 755d1361 06801300 00006801"),
    "zip by 7z": ("application/zip", "504b0304 14000000 08005b43 755d1361 06802000 00006801"),
    "docx by python-docx": ("application/zip", "504b0304 14000000 08005a43 755dad52 a5919501 0000ca06"),
    "xlsx by openpyxl": ("application/zip", "504b0304 14000000 08005a43 755d46c7 4d489500 0000cd00"),
    "odt by odfpy": (
        "application/vnd.oasis.opendocument.text",
        (
            "504b0304 14000000 00005a43 755d5ec6 320c2700 00002700 00000800 00006d69 6d657479 70656170 706c6963 "
            "6174696f 6e2f766e 642e6f61 7369732e 6f70656e 646f6375 6d656e74 2e746578 74504b03 04"
        ),
    ),
    "ods by odfpy": (
        "application/vnd.oasis.opendocument.spreadsheet",
        (
            "504b0304 14000000 00005a43 755d856c 398a2e00 00002e00 00000800 00006d69 6d657479 70656170 706c6963 "
            "6174696f 6e2f766e 642e6f61 7369732e 6f70656e 646f6375 6d656e74 2e737072 65616473 68656574 504b0304"
        ),
    ),
    "odp by odfpy": (
        "application/vnd.oasis.opendocument.presentation",
        (
            "504b0304 14000000 00005a43 755d3326 aca82f00 00002f00 00000800 00006d69 6d657479 70656170 706c6963 "
            "6174696f 6e2f766e 642e6f61 7369732e 6f70656e 646f6375 6d656e74 2e707265 73656e74 6174696f 6e504b03 "
            "04"
        ),
    ),
    "epub by zipfile": (
        "application/epub+zip",
        (
            "504b0304 14000000 00005a43 755d6f61 ab2c1400 00001400 00000800 00006d69 6d657479 70656170 706c6963 "
            "6174696f 6e2f6570 75622b7a 6970504b 0304"
        ),
    ),
    "jar by jar": (
        "application/java-archive",
        ("504b0304 14000808 08005a43 755d0000 00000000 00000000 00000900 04004d45 54412d49 4e462ffe ca000003 00"),
    ),
    "apk by zipfile": (
        "application/vnd.android.package-archive",
        (
            "504b0304 14000000 00005a43 755d8316 dc8c0100 00000100 00001300 0000416e 64726f69 644d616e 69666573 "
            "742e786d 6c78504b 03"
        ),
    ),
    "tgz by tar": ("application/gzip", "1f8b0800 00000000 0003edd5 410ac230 1085e1ac 3d454ea0"),
    "bz2 by bzip2": ("application/x-bzip2", "425a6839 31415926 5359d10f 269e0000 2cd58000 10400000"),
    "xz by xz": ("application/x-xz", "fd377a58 5a000004 e6d6b446 02002101 16000000 742fe5a3"),
    "zst by zstd": ("application/zstd", "28b52ffd 6468009d 00006048 656c6c6f 20776f72 6c640a01"),
    "7z by 7z": ("application/x-7z-compressed", "377abcaf 271c0004 9fb37d1a 1c000000 00000000 52000000"),
    "lzma by xz --format=lzma": ("application/x-lzma", "5d000080 00ffffff ffffffff ff003419 49ee8e99 dada8fdb"),
    "exe by mingw": ("application/x-dosexec", "4d5a9000 03000000 04000000 ffff0000 b8000000 00000000"),
    "dll by mingw": ("application/x-dosexec", "4d5a9000 03000000 04000000 ffff0000 b8000000 00000000"),
    "elf by gcc": ("application/x-elf", "7f454c46 02010100 00000000 00000000 03003e00 01000000"),
    "o by gcc -c": ("application/x-elf", "7f454c46 02010100 00000000 00000000 01003e00 01000000"),
    "class by javac": ("application/java-vm", "cafebabe 0000003d 000f0a00 02000307 00040c00 05000601"),
    "ttf by fontTools": ("font/ttf", "00010000 000a0080 00030020 4f532f32 40f64138 00000128"),
    "woff by fontTools": ("font/woff", "774f4646 00010000 000001e4 000a0000 00000220 00010000"),
    "woff2 by fontTools": ("font/woff2", "774f4632 00010000 000000d8 000a0000 00000220 00000090"),
    "sqlite by sqlite3": ("application/vnd.sqlite3", "53514c69 74652066 6f726d61 74203300 10000101 00402020"),
    "parquet by pyarrow": ("application/vnd.apache.parquet", "50415231 15041530 152e4c15 06150012 00001804 01000901"),
    "feather by pyarrow": (
        "application/vnd.apache.arrow.file",
        "4152524f 57310000 ffffffff 78000000 10000000 00000a00",
    ),
}

# Formats that no program at hand writes, by their specifications.
SPECIFIED = {
    "image/gif": b"GIF89a\x10\x00\x10\x00\x80\x00\x00",
    "image/x-canon-cr2": b"II*\x00\x10\x00\x00\x00CR\x02\x00",
    "image/tiff": b"MM\x00*\x00\x00\x00\x08",
    "image/heic": b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic",
    "image/avif": b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1avifmiaf",
    "image/heif": b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1miaf",
    "image/x-canon-cr3": b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom",
    "image/x-exr": b"\x76\x2f\x31\x01\x02\x00\x00\x00channels",
    "image/x-xcf": b"gimp xcf v011\x00\x00\x00",
    "image/vnd.djvu": b"AT&TFORM\x00\x00\x10\x00DJVUINFO",
    "image/emf": b"\x01\x00\x00\x00\x6c\x00\x00\x00" + bytes(32) + b" EMF\x00\x00\x01\x00",
    "image/wmf": b"\xd7\xcd\xc6\x9a\x00\x00",
    "image/x-portable-anymap": b"P6\n2 1\n255\n\x00\x01\x02\x03\x04\x05",
    "audio/x-ape": b"MAC \x96\x0f\x00\x00",
    "audio/amr": b"#!AMR\n\x3c\x48",
    "application/mxf": b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02",
    "application/x-lz4": b"\x04\x22\x4d\x18\x64\x40\xa7",
    "application/x-hdf5": b"\x89HDF\r\n\x1a\n\x00",
    f"{OPEN_DOCUMENT}graphics": b"PK\x03\x04" + bytes(26) + b"mimetype" + f"{OPEN_DOCUMENT}graphicsPK".encode(),
    "video/quicktime": b"\x00\x00\x03\x20moov\x00\x00\x00\x6cmvhd",
    "audio/midi": b"RIFF\x10\x01\x00\x00RMIDdata",
    "audio/mpeg": b"ID3\x04\x00\x00\x00\x00\x00\x23TSSE",
    "application/ogg": b"OggS\x00\x02" + bytes(22) + b"fishead\x00",
    "application/rtf": b"{\\rtf1\\ansi hello}",
    "application/pdf": b"\xef\xbb\xbf\r\n%PDF-1.4\n",
    "application/x-ole-storage": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16),
    "application/vnd.rar": b"Rar!\x1a\x07\x01\x00\x33\x92\xb5\xe5",
    "application/zip": b"PK\x05\x06" + bytes(18),
    "application/vnd.ms-cab-compressed": b"MSCF\x00\x00\x00\x00\x10\x27",
    "application/vnd.debian.binary-package": b"!<arch>\ndebian-binary   1700000000  0     0     100644  4         `\n",
    "application/x-archive": b"!<arch>\nhello.o/        0           0     0     644     1234      `\n",
    "application/x-rpm": b"\xed\xab\xee\xdb\x03\x00",
    "application/x-mach-binary": b"\xca\xfe\xba\xbe\x00\x00\x00\x02\x01\x00\x00\x07",
    "application/wasm": b"\x00asm\x01\x00\x00\x00",
    "application/vnd.android.dex": b"dex\n035\x00",
    "application/vnd.adobe.flash.movie": b"CWS\x0a\x10\x00\x00\x00x\x9c",
    "application/x-ms-shortcut": b"L\x00\x00\x00\x01\x14\x02\x00\x00\x00\x00\x00\xc0",
    "application/vnd.tcpdump.pcap": b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00",
    "font/otf": b"OTTO\x00\x0a\x00\x80",
    "font/collection": b"ttcf\x00\x02\x00\x00\x00\x00\x00\x04",
    "model/gltf-binary": b"glTF\x02\x00\x00\x00\x40\x00\x00\x00",
    f"{OPEN_XML}wordprocessingml.document": b"PK\x03\x04" + bytes(26) + b"word/document.xml",
    f"{OPEN_XML}spreadsheetml.sheet": b"PK\x03\x04" + bytes(26) + b"[C]xmlPK\x03\x04" + bytes(26) + b"xl/workbook.xml",
    f"{OPEN_XML}presentationml.presentation": b"PK\x03\x04" + bytes(26) + b"ppt/presentation.xml",
}


def transport_stream(packet_size: int) -> bytes:
    """Packets as ISO/IEC 13818-1 has them; those of 192 bytes begin with a time."""
    return b"".join(bytes(packet_size - 188) + b"\x47\x40\x11\x10" + b"\xff" * 184 for _ in range(4))


def adts_frame(length: int) -> bytes:
    """A frame of AAC-LC at 44.1 kHz."""
    header = bytes([0xFF, 0xF1, 0x50, 0x80 | length >> 11, length >> 3 & 0xFF, (length & 7) << 5 | 0x1F, 0xFC])
    return header + bytes(length - 7)


def mpeg_frame(first: bytes, length: int) -> bytes:
    return first + bytes(length - len(first))


@pytest.mark.parametrize("name", HEADS)
def test_a_file_of_a_real_program_is_known(name: str) -> None:
    expected, head = HEADS[name]

    assert detect(bytes.fromhex(head)) == expected


@pytest.mark.parametrize("expected", SPECIFIED)
def test_a_head_as_its_specification_has_it_is_known(expected: str) -> None:
    assert detect(SPECIFIED[expected]) == expected


def test_what_the_standard_library_writes_is_known(tmp_path: Path) -> None:
    database = tmp_path / "database"
    with sqlite3.connect(database) as connection:
        connection.execute("create table t (x)")
    connection.close()
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(100))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("word/notes.txt", "a folder may be called so")

    assert detect(database.read_bytes()) == "application/vnd.sqlite3"
    assert detect(sound.getvalue()) == "audio/wav"
    assert detect(archive.getvalue()) == "application/zip"
    assert detect(gzip.compress(b"x")) == "application/gzip"
    assert detect(bz2.compress(b"x")) == "application/x-bzip2"
    assert detect(bz2.compress(b"")) == "application/x-bzip2"
    assert detect(lzma.compress(b"x")) == "application/x-xz"
    assert detect(lzma.compress(b"x", format=lzma.FORMAT_ALONE)) == "application/x-lzma"


@pytest.mark.parametrize("archive_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_archive_is_known_by_the_sum_of_its_header(archive_format: int) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=archive_format) as tar:
        tar.addfile(tarfile.TarInfo("name"))
    head = archive.getvalue()[:SNIFF_BYTES]

    assert detect(head) == "application/x-tar"
    assert detect(b"N" + head[1:]) != "application/x-tar"
    assert detect(head[:-1]) != "application/x-tar"


@pytest.mark.parametrize("packet_size", [188, 192])
def test_a_transport_stream_is_known_by_its_packets(packet_size: int) -> None:
    stream = transport_stream(packet_size)

    assert detect(stream) == "video/mp2t"
    assert detect(stream[:300]) == "application/octet-stream"


def test_an_aac_frame_is_followed_by_another() -> None:
    assert detect(adts_frame(200) * 3) == "audio/aac"
    assert detect(adts_frame(900)) == "audio/aac"
    assert detect(adts_frame(200) + bytes(312)) == "application/octet-stream"
    assert detect(b"\xff\xf1\x50\x80\x00\x1f\xfc" + bytes(505)) == "application/octet-stream"


@pytest.mark.parametrize(
    ("first", "length"),
    [
        (b"\xff\xfb\x90\x64", 417),  # MPEG 1, layer III, 128 kbit/s, 44.1 kHz
        (b"\xff\xfb\x92\x64", 418),  # padded
        (b"\xff\xfd\x84\x04", 384),  # MPEG 1, layer II, 128 kbit/s, 48 kHz
        (b"\xff\xf3\x40\xc0", 104),  # MPEG 2, layer III, 32 kbit/s, 22.05 kHz
        (b"\xff\xf5\x48\xc0", 288),  # MPEG 2, layer II, 32 kbit/s, 16 kHz
        (b"\xff\xe3\x18\xc0", 72),  # MPEG 2.5, layer III, 8 kbit/s, 8 kHz
    ],
)
def test_an_mpeg_audio_frame_is_followed_by_another(first: bytes, length: int) -> None:
    assert detect(mpeg_frame(first, length) * 8) == "audio/mpeg"
    assert detect(mpeg_frame(first, length + 1) * 8) == "application/octet-stream"


@pytest.mark.parametrize("first", [b"\xff\xfb\x0c\x00", b"\xff\xfb\xf0\x00", b"\xff\xfb\x9c\x00", b"\xff\xf9\xff\xff"])
def test_a_frame_with_a_reserved_rate_is_none(first: bytes) -> None:
    assert detect(mpeg_frame(first, SNIFF_BYTES)) == "application/octet-stream"


@pytest.mark.parametrize(
    "text",
    [
        "GIF89a=1;/* an image to one reader, a script to another */alert(1)",
        "BMW makes cars",
        "MZ is how a DOS program begins",
        "FWS, CWS and ZWS",
        "PAR1 is the first part",
        "BZh91AY&SY are the first letters of bzip2",
        "RIFF/*aaWEBP*/=1",
        "FORMalin AIFC",
        "wOFF and wOF2",
        "MAC addresses",
        "P5 is a level",
        "abcdmdat",
        "G" * 1000,
    ],
)
def test_letters_alone_are_text_whatever_they_spell(text: str) -> None:
    assert detect(text.encode()) == "text/plain"


@given(
    st.sampled_from(
        ["GIF89a", "BM", "MZ", "RIFF", "FORM", "PAR1", "wOFF", "CWS", "BZh9", "ID3", "OggS", "fLaC", "GGGG"]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=600),
)
def test_no_text_in_ascii_is_taken_for_a_picture_a_film_or_a_program(beginning: str, rest: str) -> None:
    assert detect((beginning + rest).encode()) == "text/plain"


@given(st.binary(max_size=600))
def test_no_head_is_too_odd(head: bytes) -> None:
    found = signed(head)

    assert found is None or re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", found)


def test_every_row_of_the_table_is_reached() -> None:
    heads = [bytes.fromhex(head) for _, head in HEADS.values()] + list(SPECIFIED.values())
    shown = {detect(head) for head in [*heads, transport_stream(188)]}

    assert {name for name, _ in SIGNATURES} <= shown
