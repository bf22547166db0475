"""Workbooks and folders as the owners of the real data sets lay them out, with every trap of datasets.md in them."""

import itertools

import openpyxl
import xlwt

from fedn_pipeline import config

FOLDERS = (15, 16, *range(19, 28), *range(29, 39), 40)  # of the 22 subjects of CAS(ME)^2
FILMS = {"disgust1": 101, "disgust2": 102, "anger1": 401, "anger2": 402, "happy1": 502, "happy2": 503, "happy3": 505}
FILMS |= {"happy4": 507, "happy5": 508}
NAMING_1 = [[folder, f"s{folder}", number] for number, folder in enumerate(FOLDERS, 1)]
NAMING_2 = [[code, stem] for stem, code in FILMS.items()]
ANNOTATED = {"positive": 116, "surprise": 16, "negative": 105, "others": 63}
SELF_REPORTED = {"happiness": 132, "surprise": 26, "disgust": 58, "anger": 47, "fear": 17, "sadness": 8}
SELF_REPORTED |= {"helpless": 4, "confused": 3, "pain": 3, "sympathy": 2}
CASME3 = {"happiness": 411, "surprise": 91, "disgust": 543, "anger": 537, "fear": 891, "sadness": 733, "others": 140}
CASME3_HEADER = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Expression type", "Objective class"]
SAMM_HEADER = ["Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration", "Type"]
SAMM_HEADER += ["Action Units", "Notes"]


def settings(**changed):
    """The configuration's section `dataset` with its defaults."""
    return config.validate({"dataset": changed})["dataset"]


def xlsx(path, sheets):
    """Write {sheet name: rows} as .xlsx."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
    return path


def xls(path, sheets):
    """Write {sheet name: rows} as old binary .xls."""
    book = xlwt.Workbook()
    for name, rows in sheets.items():
        sheet = book.add_sheet(name)
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                if cell is not None:
                    sheet.write(i, j, cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(str(path))
    return path


def words(counts):
    return [name for name, count in counts.items() for _ in range(count)]


def casme2_rows():
    """357 rows: 300 macro with the published totals, 57 micro; 44 offsets 0, 3 offsets before the apex, one apex 0,
    `happyiness`, 18 overlapping pairs.
    """
    clips = list(itertools.product(range(1, 23), FILMS))[:98]
    reported = words(SELF_REPORTED)
    reported[7] = "happyiness"
    rows, n_in = [], dict.fromkeys(clips, 0)
    for i, (emotion, own) in enumerate(zip(words(ANNOTATED), reported, strict=True)):
        clip = clips[i % len(clips)]
        n_in[clip] += 1
        onset = 200 * n_in[clip]
        rows.append([clip[0], f"{clip[1]}_{n_in[clip]}", onset, onset + 10, onset + 25, "4+7", emotion])
        rows[-1] += ["macro-expression", own]
    for row in rows[:44]:
        row[4] = 0
    for row in rows[44:47]:
        row[4] = row[2] + 5
    rows[50][3] = 0
    for later in range(60 + 98, 78 + 98):  # overlaps the clip's earlier expression
        earlier = rows[later - 98]
        rows[later][2:5] = [earlier[2] + 20, earlier[2] + 30, earlier[2] + 40]
    for i in range(57):
        clip = clips[i]
        onset = 5000 + 20 * i
        rows.append([clip[0], f"{clip[1]}_9", onset, onset + 4, onset + 9, "AU4", words(ANNOTATED)[i * 5]])
        rows[-1] += ["micro-expression", words(SELF_REPORTED)[i * 5]]
    return rows


def casme2_book(path, rows):
    """The workbook without headers, film codes as numbers (their leading zero lost)."""
    return xlsx(path, {"CASFEcode_final": rows, "naming rule1": NAMING_1, "naming rule2": NAMING_2})


def small(path, rows=(), **sheets):
    """A workbook of CAS(ME)^2 with a few good rows and the given ones."""
    good = [[1, "anger1_1", 10, 20, 30, "4", "negative", "macro-expression", "anger"]]
    good += [[2, "happy1_1", 10, 20, 30, "12", "positive", "macro-expression", "happiness"]]
    good += [[1, "anger1_2", 101, 105, 111, "4", "others", "micro-expression", "fear"]]
    return casme2_book(path, good + list(rows))


def casme3_rows():
    """4206 rows (3346 macro, 860 micro) of 956 videos of 98 subjects, in sheet order, without a header."""
    subjects = [n for n in range(1, 101) if n not in (40, 77)]
    videos = [(subject, letter) for letter in "abcdefghij" for subject in subjects][:956]
    rows = []
    for i in range(4206):
        subject, letter = videos[i % len(videos)]
        onset = 100 * (i // len(videos))
        kind = "Macro-expression" if i < 3346 else "Micro-expression"
        rows.append([f"spNO.{subject}", letter, onset, onset + 20, onset + 60, "AU12", kind, 1])
    for row in [row for row in rows if row[1] == "j"][:5]:
        row[1] = "J"
    rows[5][4] = rows[6][4] = 0
    rows[1000][4] = rows[1000][2] - 50  # an offset before the onset
    rows[2000][3] = rows[2000][2] + 99  # an apex after the offset
    rows[3000] = list(rows[3000 - 956])  # pasted twice
    rows[3500][6] = " Micro-Expression "
    return rows


def casme3_emotions(rows, kind, spellings):
    """Rows `sub, seq, onset, apex, offset, AU, emotion` of one expression type, in another order."""
    chosen = [row for row in rows if row[6].strip().lower().startswith(kind)]
    emotions = itertools.cycle(words(CASME3))
    found = [[row[0].upper(), row[1].lower(), *row[2:6], next(emotions)] for row in chosen]
    for row in found:
        row[6] = spellings.get(row[6], row[6])
    return found[1::2] + found[::2]
