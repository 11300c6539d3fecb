"""Disassembly as data: functions, the features an instruction needs, dirty upper register halves.

Reads what GNU objdump prints for x86-64 (AT&T syntax) and AArch64 objects and libraries.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field

FUNCTION = re.compile(r"^([0-9a-f]+) <(.+)>:$")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\t(?:[0-9a-f]{2,8} )*\s*(.+)$")
RELOCATION = re.compile(r"^\s*([0-9a-f]+): (R_\w+)\s+(\S+)")
PREFIXES = {"lock", "rep", "repz", "repnz", "notrack", "bnd", "data16", "cs", "ds", "es", "ss"}


@dataclass
class Instruction:
    """One instruction; `symbol` is what its relocation names."""

    address: int
    mnemonic: str
    operands: str
    symbol: str = ""

    def text(self) -> str:
        return f"{self.address:x}: {self.mnemonic} {self.operands}".rstrip()


@dataclass
class Function:
    """A symbol of a code section with its instructions."""

    name: str
    address: int
    instructions: list[Instruction] = field(default_factory=list)


def parse_instruction(address: int, text: str) -> Instruction:
    """Splits off prefixes and objdump's remarks."""
    words = text.split("#")[0].split("//")[0].split()
    while len(words) > 1 and (words[0] in PREFIXES or words[0].startswith("rex")):
        words.pop(0)
    return Instruction(address, words[0] if words else "", " ".join(words[1:]))


def disassemble(objdump: str, path: str) -> list[Function]:
    """All functions of all code sections."""
    listing = subprocess.run(
        [objdump, "-d", "-r", "--no-show-raw-insn", path],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    functions: list[Function] = []
    for line in listing.splitlines():
        if match := FUNCTION.match(line):
            functions.append(Function(match[2], int(match[1], 16)))
        elif match := RELOCATION.search(line.replace("\t", " ")):
            if functions and functions[-1].instructions:
                functions[-1].instructions[-1].symbol = match[3]
        elif match := INSTRUCTION.match(line):
            if functions:
                functions[-1].instructions.append(parse_instruction(int(match[1], 16), match[2]))
    return functions


# ---- Features ----

FMA_X86 = re.compile(r"^vfn?m(add|sub|addsub|subadd)\d*[ps][sd]$")
FMA_ARM = re.compile(r"^(fmla|fmls|fn?madd|fn?msub)$")
F16C = re.compile(r"^vcvt(ph2ps|ps2ph)$")
NOT_VEX = re.compile(
    r"^v(err|erw|erww|errw|m(call|clear|launch|resume|read|write|xon|xoff|func|"
    r"ptrld|ptrst|mcall|run|load|save))"
)
AVX512_REGISTER = re.compile(r"%zmm|%k[0-7]\b|%[xy]mm(1[6-9]|2\d|3[01])|\{%k|\{z\}|\{1to")
AVX512_MNEMONIC = re.compile(
    r"^(k(mov|ortest|test|and|or|xor|xnor|not|add|unpck|shift)|v(pternlog|rndscale|range|reduce|"
    r"fixupimm|getexp|getmant|scalef|fpclass|align[dq]|pmullq|pmov[bwdq]2m|pmovm2|pcompress|"
    r"pexpand|compressp|expandp|permt2|permi2|blendm|pblendm|cvt\w*uqq|cvt\w*udq|cvtt?p[sd]2qq|"
    r"cvtqq|rcp14|rsqrt14|pmin[su]q|pmax[su]q|pabsq|psraq|prol|pror|insert[fi](32|64)|"
    r"extract[fi](32|64)|broadcast[fi](32|64)|shuf[fi](32|64)|movdq[au](8|16|32|64)|ptestn?m))"
)
# Parts of AVX-512 that the row's F, BW, DQ and VL do not include, in any encoding. Of what ends in
# ph and sh, F16C and AVX-512 F have vcvtps2ph.
AVX512_OTHER = re.compile(
    r"^v(?!cvtps2ph$)(pdp|permb|permi2b|permt2b|pmultishiftqb|pmadd52|popcnt|pconflict|plzcnt|pcompress[bw]|"
    r"pexpand[bw]|pshld|pshrd|gf2p8|aes|pclmul|pshufbitqmb|p2intersect|\w*bf16|\w*[ps]h$)"
)
AVX2_YMM = re.compile(r"^vp(?!erm2f128|ermilp|test)|^vmpsadbw|^vmovntdqa")
AVX2_ANY = re.compile(
    r"^v(gather|pgather|pbroadcast|broadcasti|extracti128|inserti128|perm(d|q|ps|pd)$|perm2i128|"
    r"pblendd|pmaskmov|psllv|psrlv|psrav)"
)
REGISTER_BROADCAST = re.compile(r"^vbroadcasts[sd]$")
BIT_MANIPULATION = re.compile(
    r"^(andn|bextr|bls(i|r|msk)|mulx|pdep|pext|rorx|s[ahr][lr]x|sarx|bzhi|lzcnt|popcnt|movbe|"
    r"ad[co]x)[bwlq]?$"
)
LATER_SSE = re.compile(
    r"^(addsubp|haddp|hsubp|lddqu|movddup|movs[hl]dup|pshufb|ph(add|sub)|pabs|palignr|psign|"
    r"pmulhrsw|pmaddubsw|blend|pblend|dpp|extractps|insertps|mpsadbw|packusdw|pcmp(eq|gt)q|"
    r"pcmp[ei]str|pextr[bdq]|phminposuw|pinsr[bdq]|pm(ax|in)(s[bd]|u[wd])|pmov[sz]x|pmuldq|"
    r"pmulld|ptest|round[ps][sd]|crc32|aes|pclmul|sha(1|256))"
)
SVE_REGISTER = re.compile(r"\bz\d+\b|\bp\d+(/|\.|\b)")


def features_x86(instruction: Instruction) -> set[str]:
    """What the processor needs beyond x86-64's baseline to execute it."""
    name, operands = instruction.mnemonic, instruction.operands
    needs: set[str] = set()
    if AVX512_REGISTER.search(operands) or AVX512_MNEMONIC.match(name):
        needs.add("avx512")
    if AVX512_OTHER.match(name):
        needs.add("more than AVX-512 F, BW, DQ, VL")
    if BIT_MANIPULATION.match(name):
        needs.add("bit manipulation")
    if LATER_SSE.match(name):
        needs.add("SSE3 or later")
    if not name.startswith("v") or NOT_VEX.match(name):
        return needs
    needs.add("avx")
    if FMA_X86.match(name):
        needs.add("fma")
    elif F16C.match(name):
        needs.add("f16c")
    elif AVX2_ANY.match(name) or ("%ymm" in operands and AVX2_YMM.match(name)):
        needs.add("avx2")
    elif REGISTER_BROADCAST.match(name) and operands.startswith("%xmm"):
        needs.add("avx2")
    return needs


def features_arm(instruction: Instruction) -> set[str]:
    """What the processor needs beyond ARMv8-A with Advanced SIMD."""
    return {"sve"} if SVE_REGISTER.search(instruction.operands) else set()


def is_fma(instruction: Instruction) -> bool:
    return bool(FMA_X86.match(instruction.mnemonic) or FMA_ARM.match(instruction.mnemonic))


# ---- vzeroupper ----

WIDE_REGISTER = re.compile(r"%[yz]mm(\d|1[0-5])\b")
# SLEEF's functions of the wide ISAs take and return whole registers.
WIDE_CALLEE = re.compile(r"^Sleef_\w+(avx2|avx512f)\b")
BRANCH_TARGET = re.compile(r"^([0-9a-f]+)\b")


def _successors(function: Function) -> list[list[int]]:
    """By index; leaving the function is no successor."""
    code = function.instructions
    place = {instruction.address: i for i, instruction in enumerate(code)}
    # Where a jump table could lead: what is reached neither by falling through nor by a jump.
    after_jump = [
        i + 1
        for i, instruction in enumerate(code[:-1])
        if instruction.mnemonic.startswith(("jmp", "ret", "ud2"))
    ]
    result: list[list[int]] = []
    for i, instruction in enumerate(code):
        name, following = instruction.mnemonic, [i + 1] if i + 1 < len(code) else []
        if name.startswith(("ret", "ud2", "hlt")):
            following = []
        elif name.startswith("j"):
            target = BRANCH_TARGET.match(instruction.operands)
            inside = place.get(int(target[1], 16)) if target and not instruction.symbol else None
            if name.startswith("jmp"):
                following = []
                if instruction.operands.startswith("*") and not instruction.symbol:
                    following = after_jump
            if inside is not None:
                following = following + [inside]
        result.append(following)
    return result


def _leaves(function: Function, i: int, successors: list[list[int]]) -> str:
    """ "return", "jump", "call" if instruction i goes to code that need not know AVX, else ""."""
    instruction = function.instructions[i]
    if instruction.mnemonic.startswith("ret"):
        return "return"
    if instruction.mnemonic.startswith("jmp") and not successors[i]:
        return "jump"
    if instruction.mnemonic.startswith("call"):
        callee = instruction.symbol
        local = not callee or callee.startswith(".text")
        return "" if local or WIDE_CALLEE.match(callee) else "call"
    return ""


def dirty_exits(function: Function) -> list[str]:
    """Where the function returns, jumps away or calls out with dirty upper halves on some path.

    Dirty halves make the following SSE code slow on many processors. A forward data-flow
    analysis over single instructions: any use of a wide register dirties, vzeroupper cleans.
    """
    code = function.instructions
    successors = _successors(function)
    dirty = [False] * len(code)  # before the instruction
    work = list(range(len(code)))
    while work:
        i = work.pop()
        instruction = code[i]
        after = dirty[i] or bool(WIDE_REGISTER.search(instruction.operands))
        if instruction.mnemonic.startswith("call") and WIDE_CALLEE.match(instruction.symbol):
            after = True
        if instruction.mnemonic in ("vzeroupper", "vzeroall"):
            after = False
        for following in successors[i]:
            if after and not dirty[following]:
                dirty[following] = True
                work.append(following)
    found = []
    for i, instruction in enumerate(code):
        how = _leaves(function, i, successors)
        if how and dirty[i]:
            found.append(f"{function.name}: {how} with dirty upper halves at {instruction.text()}")
    return found
