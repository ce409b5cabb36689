# Shared by run and full: interpreters, the runner of environments, and how long each part took.

export CI=true TF_CPP_MIN_LOG_LEVEL=3 PIP_DISABLE_PIP_VERSION_CHECK=1
started=$SECONDS
current=""
times=()

# Print the interpreter of a minor version: from the path, or where pyenv keeps its versions.
python_of() {
    local candidate
    for candidate in "$(command -v "python$1" || true)" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
        if [ -x "$candidate" ] && "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "Python $1 is not installed; it is needed to run the tests." >&2
    return 1
}

# Begin a part, and note how long the one before took.
step() {
    end_step
    current=$1 step_started=$SECONDS
    printf '\n=== %s ===\n' "$1"
}

end_step() {
    [ -z "$current" ] || times+=("$(printf '%6d s  %s' $((SECONDS - step_started)) "$current")")
    current=""
}

report() {
    end_step
    printf '\n=== times ===\n'
    printf '%s\n' "${times[@]}" "$(printf '%6d s  in all' $((SECONDS - started)))"
}

# Run one tox environment; what follows the name goes to pytest.
tox_env() {
    local name=$1
    shift
    "$tools/bin/tox" run -q -e "$name" ${1:+-- "$@"}
}

# Print the commands of a fenced block in the README that is marked with <!-- NAME -->.
readme_block() {
    awk -v mark="<!-- $1 -->" '$0 == mark {found = 1; next} found && /^```/ {if (inside) exit; inside = 1; next} inside' README.md | grep .
}

tools=$(mktemp -d)/tox
"$(python_of 3.12)" -m venv "$tools"
"$tools/bin/python" -m pip install -q "tox>=4.21"
interpreters=$(mktemp -d)
for version in 3.9 3.11 3.12; do
    ln -s "$(python_of $version)" "$interpreters/python$version"
done
ln -s "$(python_of 3.12)" "$interpreters/python3"  # what the README's commands call
export PATH="$interpreters:$PATH"
