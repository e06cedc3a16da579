"""Maps that are made: of a program as large as they come."""


def jvm(areas: int = 3000) -> str:
    """The maps of a busy server in Java: a heap, threads by the hundred, libraries, and files mapped one after the other."""
    lines: list[str] = []
    where = 0x6_0000_0000

    def add(size: int, perms: str, file: str = "", skip: int = 0) -> None:
        nonlocal where
        where += skip
        lines.append(
            f"{where:08x}-{where + size:08x} {perms} 00000000 {'fd:01 77' if file[:1] == '/' else '00:00 0'}"
        )
        lines[-1] = f"{lines[-1]:<72} {file}"
        where += size

    add(4 << 30, "rw-p")
    add(2 << 30, "---p")
    where = 0x55D0_1000_0000
    for perms in ("r--p", "r-xp", "r--p", "rw-p"):
        add(4096, perms, "/opt/jdk/bin/java")
    add(135168, "rw-p", "[heap]", skip=1 << 24)
    where = 0x7F00_0000_0000
    while len(lines) < areas * 2 // 5:
        add(135168, "rw-p")
        add((64 << 20) - 135168, "---p")
    number = 0
    while len(lines) < areas * 3 // 5:
        add(16384, "---p", skip=0 if number % 7 else 8192)
        add(1 << 20, "rw-p")
        number += 1
    while len(lines) < areas - 8:
        number += 1
        if number % 3:
            add(
                4096 * (1 + number % 90),
                "r--s",
                f"/srv/index/segment_{number:04}.dat",
                skip=4096 * (number % 5),
            )
        else:
            for perms in ("r--p", "r-xp", "r--p", "rw-p"):
                add(4096 * (1 + number % 30), perms, f"/opt/jdk/lib/lib{number}.so")
    del lines[areas - 3 :]
    while len(lines) < areas - 3:
        add(4096, "rw-p", skip=4096)
    add(135168, "rw-p", "[stack]", skip=1 << 40)
    add(16384, "r--p", "[vvar]", skip=4096)
    add(8192, "r-xp", "[vdso]")
    return "\n".join(lines) + "\n"
