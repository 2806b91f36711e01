#!/usr/bin/env bash
# Brings the programs that the tests run. Does nothing if they are there.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
    nginx libnginx-mod-rtmp ffmpeg rtmpdump haproxy vlc-bin vlc-plugin-base python3 python3-pip curl openssl procps util-linux socat
    chromium npm
    gstreamer1.0-tools glib-networking gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
)

# Prints what the system lacks, one name a line.
missing() {
    local name
    for name in ffmpeg ffprobe rtmpdump vlc python3 gst-launch-1.0 gst-inspect-1.0 \
        curl openssl ps setpriv prlimit socat chromium npm nginx haproxy; do
        command -v "$name" >/dev/null || echo "$name"
    done
    if ! python3 -m pip --version >/dev/null 2>&1; then
        echo "pip"
    fi
    [ -e /usr/lib/nginx/modules/ngx_rtmp_module.so ] || echo "the RTMP module of nginx"
    compgen -G "/usr/lib/*/gio/modules/libgio*tls*.so" >/dev/null || echo "TLS for GStreamer"
    for name in filesrc filesink queue souphttpsrc flvdemux flvmux rtmpsink rtmp2sink rtmp2src; do
        gst-inspect-1.0 --exists "$name" 2>/dev/null || echo "GStreamer's $name"
    done
}

fail() {
    echo "tests/tools.sh: $*" >&2
    exit 1
}

install_packages() {
    local lacking=$1
    echo "Missing for the tests: ${lacking//$'\n'/, }"
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        fail "please install them; with apt-get, as root: apt-get install ${packages[*]}"
    fi
    echo "Installing ${packages[*]}"
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
    lacking=$(missing)
    [ -z "$lacking" ] || fail "still missing: ${lacking//$'\n'/, }"
}

# The system's ffmpeg may be too old for Enhanced RTMP; a wheel holds a newer one.
fetch_ffmpeg() {
    local wanted=tests/programs/interop/requirements.txt dir=target/interop
    if [ -x $dir/ffmpeg ] && cmp -s $wanted $dir/requirements.txt; then
        return
    fi
    echo "Fetching a current ffmpeg into $dir"
    rm -rf $dir/wheel
    mkdir -p $dir/wheel
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes --dest $dir/wheel --requirement $wanted
    python3 -m zipfile -e $dir/wheel/*.whl $dir/wheel
    mv $dir/wheel/imageio_ffmpeg/binaries/ffmpeg-* $dir/ffmpeg
    chmod +x $dir/ffmpeg
    $dir/ffmpeg -hide_banner -version >/dev/null
    cp $wanted $dir/requirements.txt
    rm -r $dir/wheel
}

# Players of HLS and HTTP-FLV for browsers. Each is one script of a package of npm.
fetch_players() {
    local wanted=tests/programs/browser/players.sha256 dir=target/interop/players fetched package
    if cmp -s $wanted $dir/players.sha256; then
        return
    fi
    echo "Fetching players for browsers into $dir"
    mkdir -p $dir
    fetched=$(mktemp -d $dir/fetched.XXXXXX)
    cp $wanted "$fetched"
    while read -r _ package; do
        package=${package%.tgz}
        (cd "$fetched" && npm pack --silent "${package%-*}@${package##*-}" >/dev/null)
    done <$wanted
    (cd "$fetched" && sha256sum --check --quiet players.sha256)
    tar -xzf "$fetched"/hls.js-*.tgz -C "$fetched" package/dist/hls.min.js
    tar -xzf "$fetched"/mpegts.js-*.tgz -C "$fetched" package/dist/mpegts.js
    mv "$fetched/package/dist/hls.min.js" $dir/hls.js
    mv "$fetched/package/dist/mpegts.js" $dir/mpegts.js
    mv "$fetched/players.sha256" $dir/players.sha256
    rm -r "$fetched"
}

lacking=$(missing)
[ -z "$lacking" ] || install_packages "$lacking"
fetch_ffmpeg
fetch_players
