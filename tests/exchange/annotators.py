"""Files as annotators' tools write them, in small: ELAN's documents, BORIS's tables, Praat's grids."""

from xml.sax.saxutils import quoteattr

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n{doctype}<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-05-02T10:11:12+02:00" '
    'FORMAT="3.0" VERSION="3.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">\n'
    '<HEADER MEDIA_FILE="" TIME_UNITS="{units}">{media}<PROPERTY NAME="URN">urn:x</PROPERTY></HEADER>\n'
)
TAIL = '<LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>\n'
TAIL += "</ANNOTATION_DOCUMENT>\n"
WINDOWS = ("file:///C:/Users/Anna%20B/Videos/talk.mp4", "../../Videos/talk.mp4")


def eaf(tiers, media=(WINDOWS,), doctype="", units="milliseconds", origin=None):
    """ELAN's text. tiers: `{name: [(start_ms, end_ms, text)]}`; an entry `(number, text)` refers to the annotation of
    that number in the whole file, from 1; a time None is a slot without one."""
    slots, parts, number = [], [], 0
    for name, entries in tiers.items():
        part = f'<TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID={quoteattr(name)}>'
        for *times, text in entries:
            number += 1
            text = f"<ANNOTATION_VALUE>{text}</ANNOTATION_VALUE>"
            if len(times) == 1:
                refers = f'<REF_ANNOTATION ANNOTATION_ID="a{number}" ANNOTATION_REF="a{times[0]}">'
                part += f"<ANNOTATION>{refers}{text}</REF_ANNOTATION></ANNOTATION>\n"
                continue
            slots += times
            first = f'TIME_SLOT_REF1="ts{len(slots) - 1}" TIME_SLOT_REF2="ts{len(slots)}"'
            part += f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{number}" {first}>'
            part += f"{text}</ALIGNABLE_ANNOTATION></ANNOTATION>\n"
        parts.append(part + "</TIER>\n")
    order = "".join(
        f'<TIME_SLOT TIME_SLOT_ID="ts{i}"' + ("/>" if time is None else f' TIME_VALUE="{time}"/>')
        for i, time in enumerate(slots, 1)
    )
    offset = "" if origin is None else f' TIME_ORIGIN="{origin}"'
    links = "".join(
        f'<MEDIA_DESCRIPTOR MEDIA_URL="{url}" MIME_TYPE="video/mp4" RELATIVE_MEDIA_URL="{relative}"{offset}/>'
        for url, relative in media
    )
    head = HEAD.format(doctype=doctype, units=units, media=links)
    return f"{head}<TIME_ORDER>{order}</TIME_ORDER>\n{''.join(parts)}{TAIL}"


BORIS_7 = """Observation id,Observation date,Description,Media file,Total length,FPS,Subject,Behavior,\
Behavioral category,Modifiers,Behavior type,Start (s),Stop (s),Duration (s),Comment start,Comment stop
obs1,2021-12-06 13:26:24,,C:/study/talk.mp4,138.010,29.97,No focal subject,happiness,face,,STATE,1.001,2.002,1.001,,
obs1,2021-12-06 13:26:24,,C:/study/talk.mp4,138.010,29.97,No focal subject,blink,face,,POINT,3.003,3.003,NA,,
obs1,2021-12-06 13:26:24,,C:/study/talk.mp4,138.010,29.97,anna,Freude,face,strong,STATE,4.004,5.005,1.001,,
"""
GRID = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 10
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "face"
        xmin = 0
        xmax = 10
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = ""
        intervals [2]:
            xmin = 1.5
            xmax = 2.25
            text = "he said ""joy"""
        intervals [3]:
            xmin = 2.25
            xmax = 10
            text = ""
    item [2]:
        class = "TextTier"
        name = "blinks"
        xmin = 0
        xmax = 10
        points: size = 1
        points [1]:
            number = 4
            mark = "blink"
'''
