# Sourced by deploy/demo and deploy/test: makes the virtual environment .venv of this repository, or leaves it alone.
# Needs Python 3.11 or newer with its venv module and, when something has to be installed, a way to PyPI.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv
command_name=deploy/$(basename "$0")
setup_log=$venv/setup.log

say() { printf '%s: %s\n' "$command_name" "$*" >&2; }
die() { say "$*"; exit 1; }

find_python() {
    local name
    for name in python3.11 python3 python3.12 python3.13 python3.14; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

venv_works() { [[ -x $venv/bin/python ]] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; }

# An environment that was copied or moved still starts the interpreter and the sources of its old place.
venv_is_here() { [[ $(cat "$venv/specular-root" 2>/dev/null) == "$root" ]] || [[ ! -e $venv/specular-root ]]; }

create_venv() {
    local python
    python=$(find_python) || die "no Python 3.11 or newer found (tried python3.11, python3, python3.12, python3.13, python3.14)"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        die "$python has no venv module; on Debian: apt install python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    say "creating $venv with $("$python" -V 2>&1)"
    rm -rf "$venv"
    "$python" -m venv "$venv" || die "could not create $venv"
}

pip_install() {
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-input "$@" >>"$setup_log" 2>&1 && return
    die "pip could not install what is needed: $(grep '^ERROR' "$setup_log" | tail -1) (everything it said: $setup_log)"
}

# What sudo made in somebody's checkout is that person's: the next command may be without it.
give_back() {
    [[ $(id -u) == 0 && -n ${SUDO_UID:-} && $(stat -c %u "$root") == "$SUDO_UID" ]] || return 0
    mkdir -p "$root/build"
    chown "$SUDO_UID:$SUDO_GID" "$root/build"
    chown -hR "$SUDO_UID:$SUDO_GID" "$venv"
}

# prepare LOCK: afterwards .venv holds exactly the pinned packages of LOCK and this project itself.
prepare() {
    local lock=$1 stamp=$venv/$1.stamp wanted
    exec 9<"$root"
    if command -v flock >/dev/null; then flock 9; fi # two of us at once would install over each other
    if ! venv_works || ! venv_is_here; then create_venv; fi
    wanted=$(cat "$root/$lock" "$root/pyproject.toml" | sha256sum) || die "$lock or pyproject.toml is missing"
    if [[ $(cat "$stamp" 2>/dev/null) != "$wanted" || ! -x $venv/bin/specular ]]; then
        say "installing the packages of $lock"
        : >"$setup_log"
        pip_install --require-hashes --requirement "$root/$lock"
        pip_install --no-deps --no-build-isolation --editable "$root"
        printf '%s\n' "$root" >"$venv/specular-root"
        printf '%s\n' "$wanted" >"$stamp"
        give_back
    fi
    exec 9<&-
}
