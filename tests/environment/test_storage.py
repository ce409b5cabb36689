"""Storage under a path, on trees of /proc and /sys as real machines show them."""

from __future__ import annotations

import platform

import pytest
from machines import ATA, USB, Machine

from kerasdiag.environment import storage
from kerasdiag.environment.storage import StorageClass, storage_of

NVME, SSD, ROTATING, NETWORK, MEMORY, UNKNOWN = StorageClass


@pytest.fixture(autouse=True)
def _linux(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Linux")


def test_nvme_under_lvm_in_luks(tmp_path):
    """A laptop: ext4 on LVM on LUKS on a partition; the reason names the disk and the encryption."""
    machine = Machine(tmp_path, """
        28 1 253:1 / / rw,relatime shared:1 - ext4 /dev/mapper/vg-root rw,errors=remount-ro
        35 28 259:1 / /boot/efi rw,relatime shared:33 - vfat /dev/nvme0n1p1 rw,utf8
    """)  # fmt: skip
    pci = "pci0000:00/0000:00:1d.0/0000:3d:00.0/nvme/nvme0"
    machine.disk("nvme0n1", "259:0", 0, pci, {"nvme0n1p1": "259:1", "nvme0n1p3": "259:3"}, device__transport="pcie")
    machine.disk("dm-0", "253:0", 0, slaves=["nvme0n1p3"], dm__uuid="CRYPT-LUKS2-123-nvme0n1p3_crypt")
    machine.disk("dm-1", "253:1", 0, slaves=["dm-0"], dm__uuid="LVM-abc")
    facts = machine.look("/home/me/stores")
    assert (facts.storage_class, facts.device, facts.mount_point) == (NVME, "nvme0n1", "/")
    assert (facts.file_system, facts.source, facts.is_usb) == ("ext4", "/dev/mapper/vg-root", False)
    assert facts.reason.startswith("/sys/block/nvme0n1/queue/rotational is 0; dm-0, encrypted, lies on it; dm-1 lies")
    assert machine.look("/boot/efi/x").mount_point == "/boot/efi"


def desktop(tmp_path):
    return (
        Machine(tmp_path, r"""
            25 1 8:2 / / rw shared:1 - ext4 /dev/sda2 rw
            40 25 8:17 / /data rw shared:2 - xfs /dev/sdb1 rw,attr2
            41 25 8:33 / /media/me/My\040stick\134\011x rw shared:3 - vfat /dev/sdc1 rw
            42 25 8:49 / /media/me/disk rw - fuseblk /dev/sdd1 rw,user_id=0
            43 25 8:64 / /media/me/ssd rw - ext4 /dev/sde rw
            44 25 179:1 / /media/me/card rw - vfat /dev/mmcblk0p1 rw
            45 25 8:17 /photos /home/me/photos rw - xfs /dev/sdb1 rw
            46 25 11:0 / /media/cdrom ro - iso9660 /dev/sr0 ro
        """)
        .disk("sda", "8:0", 0, ATA.format(1), {"sda2": "8:2"}, device__model="Samsung SSD 860")
        .disk("sdb", "8:16", 1, ATA.format(2), {"sdb1": "8:17"}, device__model="WDC WD40EFRX-68N", removable="0")
        .disk("sdc", "8:32", 1, USB, {"sdc1": "8:33"}, removable="1")
        .disk("sdd", "8:48", 1, USB.replace("6", "7"), {"sdd1": "8:49"}, removable="0")
        .disk("sde", "8:64", 0, USB.replace("6", "8"), removable="0")
        .disk("mmcblk0", "179:0", 0, "platform/soc/fe340000.mmc/mmc_host/mmc0/mmc0:aaaa/block", {"mmcblk0p1": "179:1"})
        .disk("sr0", "11:0", 0, ATA.format(3))
    )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "storage_class", "device", "is_usb"),
    [
        ("/home/me", SSD, "sda", False),
        ("/data/sets/photos", ROTATING, "sdb", False),
        ("/database", SSD, "sda", False),  # not under /data
        ("/home/me/photos/cats", ROTATING, "sdb", False),  # a bind mount
        ("/media/me/My stick\\\tx/a", UNKNOWN, "sdc", True),  # sticks say falsely that they rotate
        ("/media/me/disk", ROTATING, "sdd", True),
        ("/media/me/ssd/a/b", SSD, "sde", True),
        ("/media/me/card", SSD, "mmcblk0", False),
        ("/media/cdrom/x", ROTATING, "sr0", False),
    ],
)
def test_disks_of_a_desktop(tmp_path, path, storage_class, device, is_usb):
    """SATA, USB, cards and bind mounts; partitions are their disk, octal escapes are undone."""
    facts = desktop(tmp_path).look(path)
    assert (facts.storage_class, facts.device, facts.is_usb) == (storage_class, device, is_usb)


def test_the_reason_of_a_hard_disk(tmp_path):
    """The evidence is named with the file it stands in."""
    assert desktop(tmp_path).look("/data").reason == "/sys/block/sdb/queue/rotational is 1"


def test_links_are_followed_and_missing_folders_belong_to_their_parent(tmp_path):
    """A link in the home folder leads to the big disk, a store that is yet to be made lies where it will."""
    machine = desktop(tmp_path)
    (tmp_path / "data/real").mkdir(parents=True)
    machine.link("home/me/sets", "data/real")
    assert machine.look("/home/me/sets/not/yet/there").device == "sdb"
    assert machine.look("/home/me/../../data").device == "sdb"


@pytest.mark.parametrize(
    ("line", "storage_class"),
    [
        ("nas:/export/my\\040sets /data rw - nfs4 nas:/export rw,vers=4.2", NETWORK),
        ("/ /data rw - nfs nas:/e rw", NETWORK),
        ("/ /data rw - cifs //nas/share rw", NETWORK),
        ("/ /data rw - smb3 //nas/share rw", NETWORK),
        ("/ /data rw - lustre 10.0.0.1@o2ib:/work rw", NETWORK),
        ("/ /data rw - gpfs gpfs0 rw", NETWORK),
        ("/ /data rw - ceph 10.0.0.1:6789:/ rw", NETWORK),
        ("/ /data rw - fuse.sshfs me@host:/x rw", NETWORK),
        ("/ /data rw - fuse.gcsfuse bucket rw", NETWORK),
        ("/ /data rw - fuse.JuiceFS JuiceFS:x rw", NETWORK),
        ("/ /data rw - fuse mountpoint-s3 rw", NETWORK),
        ("/ /data rw - fuse https://dav.example.org rw", NETWORK),
        ("/ /data rw - fuse.drive drive rw", NETWORK),
        ("/ /data rw shared:1 master:2 propagate_from:3 - 9p drvfs rw,aname=drvfs;path=C:\\134", NETWORK),
        ("/ /data rw - drvfs C: rw", NETWORK),
        ("/ /data rw - tmpfs tmpfs rw,size=1k", MEMORY),
        ("/ /data rw - ramfs none rw", MEMORY),
        ("/ /data rw - virtiofs share rw", UNKNOWN),
        ("/ /data rw - fuse.grpcfuse grpcfuse rw", UNKNOWN),
        ("/ /data rw - fuse.mergerfs a:b rw", UNKNOWN),
        ("/ /data rw - zfs tank/data rw,xattr", UNKNOWN),
        ("/ /data rw - somethingfs  rw", UNKNOWN),
    ],
)
def test_file_systems_that_say_it_themselves(tmp_path, line, storage_class):
    """Network, memory and shared folders are known by their type; what nobody knows is unknown."""
    facts = Machine(tmp_path, f"""
        1 0 8:1 / / rw - ext4 /dev/sda1 rw
        2 1 0:50 {line}
    """).look("/data/x")  # fmt: skip
    assert (facts.storage_class, facts.mount_point, facts.device) == (storage_class, "/data", None)
    assert facts.file_system in facts.reason


def docker(tmp_path, hostname_root="/var/lib/docker/containers/abc/hostname", **disk):
    machine = Machine(tmp_path, f"""
        500 400 0:60 / / rw - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/A,upperdir=/var/lib/docker/overlay2/ff/diff,workdir=/var/lib/docker/overlay2/ff/work
        501 500 0:61 / /proc rw - proc proc rw
        502 500 8:2 {hostname_root} /etc/hostname rw - ext4 /dev/sda2 rw
        503 500 0:62 / /dev/shm rw - tmpfs shm rw,size=65536k
        504 500 8:17 /sets /data ro - ext4 /dev/sdb1 rw
        505 500 0:70 / /content/drive rw - fuse.drive drive rw
    """)  # fmt: skip
    machine.disk("sda", "8:0", **{"rotational": 0, "way": ATA.format(1), **disk}, partitions={"sda2": "8:2"})
    return machine.disk("sdb", "8:16", 1, ATA.format(2), {"sdb1": "8:17"})


def test_docker_on_a_solid_state_disk(tmp_path):
    """The image's layers lie beside the file that Docker mounts as /etc/hostname; volumes show their own disk."""
    machine = docker(tmp_path)
    facts = machine.look("/root/.cache/kerasdiag")
    assert (facts.storage_class, facts.device, facts.mount_point) == (SSD, "sda", "/")
    assert (facts.file_system, facts.source) == ("overlay", "overlay")
    assert "/etc/hostname" in facts.reason
    assert "sda/queue/rotational is 0" in facts.reason
    assert machine.look("/data").storage_class is ROTATING
    assert machine.look("/dev/shm/x").storage_class is MEMORY


def test_docker_data_on_a_disk_of_its_own(tmp_path):
    """Mounted at /var/lib, that disk shows Docker's folder as /docker."""
    assert docker(tmp_path, "/docker/containers/abc/hostname").look("/").device == "sda"


@pytest.mark.parametrize("root", ["/var/lib/kubelet/pods/abc/etc-hosts", "/srv/containers/abc/hostname"])
def test_an_overlay_whose_layer_is_not_visible(tmp_path, root):
    """Other container engines keep their files elsewhere: then it is unknown."""
    facts = docker(tmp_path, root).look("/")
    assert (facts.storage_class, facts.device) == (UNKNOWN, None)
    assert "not visible" in facts.reason


def test_colab(tmp_path):
    """Docker on a virtual disk that claims to rotate is unknown, and the Drive is a network."""
    scsi = "pci0000:00/0000:00:03.0/virtio0/host0/target0:0:1/0:0:1:0/block"
    machine = docker(tmp_path, way=scsi, rotational=1, device__vendor="Google", device__model="PersistentDisk")
    facts = machine.look("/content/sample_data")
    assert (facts.storage_class, facts.device) == (UNKNOWN, "sda")
    assert "virtual disk (on virtio0)" in facts.reason
    assert machine.look("/content/drive/MyDrive").storage_class is NETWORK


def test_kaggle(tmp_path):
    """The working folder is a file used as a disk, whose flag says nothing; the input comes over NFS."""
    machine = Machine(tmp_path, """
        10 1 0:60 / / rw - overlay overlay rw,lowerdir=/a:/b
        11 10 7:1 / /kaggle/working rw - ext4 /dev/loop1 rw
        12 10 0:63 / /kaggle/input ro - nfs 10.0.0.2:/k ro
    """).disk("loop1", "7:1", 0)  # fmt: skip
    assert machine.look("/").storage_class is UNKNOWN
    assert machine.look("/kaggle/working/store").storage_class is UNKNOWN
    assert machine.look("/kaggle/input/cats").storage_class is NETWORK


def test_an_overlay_of_this_machine_lies_where_its_upper_layer_does(tmp_path):
    """On the host itself the upper layer can be looked up."""
    machine = Machine(tmp_path, """
        1 0 8:0 / / rw - ext4 /dev/sda rw
        2 1 0:44 / /merged rw - overlay overlay rw,lowerdir=/a,upperdir=/layers/up,workdir=/w
        3 1 8:16 / /layers rw - ext4 /dev/sdb rw
    """).disk("sda", "8:0", 0, ATA.format(1)).disk("sdb", "8:16", 1, ATA.format(2))  # fmt: skip
    (tmp_path / "layers/up").mkdir(parents=True)
    facts = machine.look("/merged/x")
    assert (facts.storage_class, facts.device, facts.mount_point) == (ROTATING, "sdb", "/merged")


def test_a_hard_disk_in_a_hot_swap_frame(tmp_path):
    """Removable makes the flag doubtful on USB only."""
    machine = Machine(tmp_path, "1 0 8:0 / / rw - ext4 /dev/sda rw")
    assert machine.disk("sda", "8:0", 1, ATA.format(1), removable="1").look("/").storage_class is ROTATING


def test_an_overlay_on_itself_ends(tmp_path):
    """A layer that seems to lie in its own overlay is a path of another world."""
    machine = Machine(tmp_path, "1 0 0:44 / / rw - overlay overlay rw,upperdir=/up")
    (tmp_path / "up").mkdir()
    facts = machine.look("/up/x")
    assert facts.storage_class is UNKNOWN
    assert "not visible" in facts.reason


def test_wsl2(tmp_path):
    """The virtual disk of WSL2 claims to rotate; Windows drives answer each read from outside."""
    machine = Machine(tmp_path, r"""
        62 61 8:32 / / rw,relatime - ext4 /dev/sdc rw,discard,data=ordered
        80 62 0:60 / /mnt/c rw,noatime - 9p C:\134 rw,dirsync,aname=drvfs;path=C:\134;uid=1000
    """)  # fmt: skip
    way = "LNXSYSTM:00/LNXSYBUS:00/ACPI0004:00/VMBUS:00/fd1d2cbd/host0/target0:0:0/0:0:0:2/block"
    machine.disk("sdc", "8:32", 1, way, device__vendor="Msft", device__model="Virtual Disk")
    assert machine.look("/home/me").storage_class is UNKNOWN
    assert machine.look("/mnt/c/Users").storage_class is NETWORK


@pytest.mark.parametrize("rotational", [0, 1])
@pytest.mark.parametrize(
    ("name", "way", "model"),
    [
        ("vda", "platform/block", ""),
        ("xvda", "platform/block", ""),
        ("sda", "vbd-2048/block", ""),
        ("sda", "LNXSYSTM:00/VMBUS:00/fd1d/host0/block", ""),
        ("sda", "pci0000:00/0000:00:05.0/virtio2/host2/target2:0:0/2:0:0:0/block", "x"),
        ("sda", ATA.format(1), "QEMU HARDDISK"),
        ("sda", ATA.format(1), "VBOX HARDDISK"),
        ("nvme0n1", "pci0000:00/0000:00:04.0/nvme/nvme0", "Amazon Elastic Block Store"),
    ],
)
def test_a_virtual_disk_is_unknown_whatever_it_says(tmp_path, name, way, model, rotational):
    """Its flag is its driver's default; the reason says so."""
    machine = Machine(tmp_path, f"1 0 8:0 / / rw - ext4 /dev/{name} rw")
    facts = machine.disk(name, "8:0", rotational, way, device__model=model).look("/x")
    assert (facts.storage_class, facts.device) == (UNKNOWN, name)
    assert "virtual disk" in facts.reason
    assert f"rotational is {rotational}" in facts.reason


@pytest.mark.parametrize(
    ("rotational", "flags", "storage_class"), [(1, "sse hypervisor", UNKNOWN), (1, "sse", ROTATING), (0, "sse hypervisor", SSD)]
)  # fmt: skip
def test_rotation_in_a_virtual_machine_proves_nothing(tmp_path, rotational, flags, storage_class):
    """A disk that does not look virtual is not believed to rotate there either."""
    machine = Machine(tmp_path, "1 0 8:0 / / rw - ext4 /dev/sda rw").disk("sda", "8:0", rotational, ATA.format(1))
    machine.write("proc/cpuinfo", f"processor : 0\nflags\t\t: fpu {flags}\n\n" * 4)
    assert machine.look("/").storage_class is storage_class


@pytest.mark.parametrize(
    ("second", "storage_class", "device"),
    [(0, SSD, "sda"), (1, ROTATING, "sdb")],
)
def test_a_raid_is_as_slow_as_its_slowest_disk(tmp_path, second, storage_class, device):
    """One hard disk makes an array a hard disk."""
    machine = Machine(tmp_path, "1 0 9:0 / /data rw - ext4 /dev/md0 rw")
    machine.disk("sda", "8:0", 0, ATA.format(1), {"sda1": "8:1"}).disk(
        "sdb", "8:16", second, ATA.format(2), {"sdb1": "8:17"}
    )
    machine.disk("md0", "9:0", 0, slaves=["sda1", "sdb1"])
    facts = machine.look("/data")
    assert (facts.storage_class, facts.device) == (storage_class, device)
    assert facts.reason.endswith("; md0 lies on it")


def test_a_mapping_onto_itself_ends(tmp_path):
    """Nonsense in /sys does not hang."""
    machine = Machine(tmp_path, "1 0 253:0 / / rw - ext4 /dev/dm-0 rw").disk("dm-0", "253:0", 1)
    machine.link("sys/devices/virtual/block/dm-0/slaves/dm-0", "sys/devices/virtual/block/dm-0")
    assert machine.look("/").storage_class is ROTATING


def btrfs(tmp_path, second=0):
    machine = Machine(tmp_path, """
        1 0 0:27 /@ / rw,relatime shared:1 - btrfs /dev/sda2 rw,ssd,subvol=/@
        2 1 0:27 /@home /home rw,relatime shared:2 - btrfs /dev/sda2 rw,ssd,subvol=/@home
    """)  # fmt: skip
    return machine.disk("sda", "8:0", 0, ATA.format(1), {"sda2": "8:2"}).disk("sdb", "8:16", second, ATA.format(2))


def test_a_btrfs_subvolume(tmp_path):
    """Its device number belongs to no device; the source names it."""
    facts = btrfs(tmp_path).look("/home/me")
    assert (facts.storage_class, facts.device, facts.mount_point) == (SSD, "sda", "/home")


def test_btrfs_over_two_disks(tmp_path):
    """The disk that the mount does not name counts too."""
    machine = btrfs(tmp_path, second=1)
    machine.link("sys/fs/btrfs/uuid-1/devices/sda2", "sys/devices/" + ATA.format(1) + "/sda/sda2")
    machine.link("sys/fs/btrfs/uuid-1/devices/sdb", "sys/devices/" + ATA.format(2) + "/sdb")
    facts = machine.look("/home/me")
    assert (facts.storage_class, facts.device) == (ROTATING, "sdb")


def test_btrfs_on_a_named_mapping(tmp_path):
    """In a container /dev/mapper is empty; the name stands in /sys."""
    machine = Machine(tmp_path, "1 0 0:27 /@ / rw - btrfs /dev/mapper/cr_home rw")
    machine.disk("sda", "8:0", 1, ATA.format(1)).disk("dm-3", "253:3", 1, slaves=["sda"], dm__name="cr_home")
    assert machine.look("/").device == "sda"


@pytest.mark.parametrize(
    ("name", "way", "files", "storage_class"),
    [
        ("nbd0", "virtual/block", {}, NETWORK),
        ("rbd0", "virtual/block", {}, NETWORK),
        ("zram1", "virtual/block", {}, MEMORY),
        ("sdx", "platform/host3/session1/target3:0:0/3:0:0:0/block", {}, NETWORK),
        ("nvme1n1", "virtual/nvme-fabrics/ctl/nvme1", {"device__transport": "tcp"}, NETWORK),
        ("nvme2n1", "virtual/nvme-subsystem/nvme-subsys2", {"device__nvme2__transport": "rdma"}, NETWORK),
        ("nvme3n1", "virtual/nvme-subsystem/nvme-subsys3", {"device__nvme3__transport": "pcie"}, NVME),
    ],
)
def test_devices_that_are_no_local_disks(tmp_path, name, way, files, storage_class):
    """Network block devices, iSCSI, NVMe over a network, compressed memory: whatever they say about rotation."""
    machine = Machine(tmp_path, f"1 0 77:0 / / rw - ext4 /dev/{name} rw").disk(name, "77:0", 0, way, **files)
    assert machine.look("/x").storage_class is storage_class


def test_a_later_mount_hides_what_lay_below(tmp_path):
    """The longest mount point is not always the visible one; of two at one place the upper counts."""
    machine = Machine(tmp_path, """
        1 0 8:0 / / rw - ext4 /dev/sda rw
        2 1 0:40 / /data/sets rw - nfs nas:/old rw
        3 1 0:41 / /data rw - tmpfs hides rw
        4 1 0:42 / /mnt rw - nfs nas:/lower rw
        5 4 0:43 / /mnt rw - tmpfs upper rw
    """)  # fmt: skip
    assert machine.look("/data/sets/x").source == "hides"
    assert machine.look("/mnt/x").source == "upper"


@pytest.mark.parametrize("parent", ["1", "0"])
def test_the_topmost_mount_may_be_its_own_parent(tmp_path, parent):
    """As an initial file system is."""
    assert Machine(tmp_path, f"1 {parent} 0:2 / / rw - rootfs rootfs rw").look("/x").storage_class is MEMORY


@pytest.mark.parametrize(
    "mounts",
    [
        "", "\n\n", "nonsense", "1 2 3", "1 0 8:1 / / rw ext4 /dev/sda1 rw", "1 0 8:1 / / rw - ext4",
        "1 0 8:1 / /elsewhere rw - ext4 /dev/sda1 rw", "1 1 8:1 / / rw - \\777 \\999 rw",
        "5 9 8:1 / / rw - ext4 a rw\n6 5 8:1 / / rw - ext4 b rw\n5 6 8:1 / / rw - ext4 c rw",
        "1 0 ../../..:/ / / rw - ext4 /dev/../.. rw",
    ],
)  # fmt: skip
def test_nonsense_is_unknown(tmp_path, mounts):
    """Nothing that stands in mountinfo raises or hangs."""
    assert Machine(tmp_path, mounts).look("/data").storage_class is UNKNOWN


def test_files_that_are_not_there(tmp_path):
    """Without /proc, without /sys, with an unreadable flag: unknown, with the reason."""
    assert "mountinfo" in storage_of("/x", tmp_path).reason
    machine = Machine(tmp_path, "1 0 8:0 / / rw - ext4 /dev/sda rw")
    assert machine.look("/x").reason == "/sys shows no block device for / (8:0, ext4)"
    machine.disk("sda", "8:0", "", ATA.format(1)).write(
        "proc/self/mountinfo", b"\xff\n1 0 8:0 / / rw - ext4 /dev/sda rw\n"
    )
    assert machine.look("/x").reason == "/sys/block/sda/queue/rotational is not readable"


@pytest.mark.parametrize("path", ["", "a\0b", "/" + "x" * 5000, "..", None])
def test_any_path_gets_an_answer(path):
    """A path that cannot exist is unknown or lies where it would; it never raises."""
    assert storage_of(path).reason


def test_a_relative_path_belongs_to_the_current_folder(tmp_path, monkeypatch):
    """On the real machine."""
    monkeypatch.chdir(tmp_path)
    assert storage_of("a/b") == storage_of(tmp_path)


def test_another_system(monkeypatch):
    """Nothing is guessed where nothing was looked at."""
    monkeypatch.setattr(platform, "system", lambda: "FreeBSD")
    facts = storage_of("/home/me")
    assert (facts.storage_class, facts.reason) == (UNKNOWN, "not looked at on this platform")


@pytest.mark.parametrize(
    ("path", "storage_class", "drive"),
    [
        (r"C:\Users\me", UNKNOWN, "C:"),
        (r"Z:\sets\cats", NETWORK, "Z:"),
        (r"R:\x", MEMORY, "R:"),
        (r"\\nas\share\cats", NETWORK, r"\\nas\share"),
        (r"\\?\C:\long", UNKNOWN, "C:"),
        (r"\\?\Z:\long", NETWORK, "Z:"),
        (r"\\?\UNC\nas\share\x", NETWORK, r"\\nas"),
    ],
)
def test_windows(monkeypatch, path, storage_class, drive):
    """Shares and network drives are known by their kind, local drives are not looked at."""
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    kinds = {"C:\\": 3, "Z:\\": 4, "R:\\": 6}
    monkeypatch.setattr(storage, "_drive_type", kinds.__getitem__)
    facts = storage_of(path)
    assert (facts.storage_class, facts.mount_point) == (storage_class, drive)
    assert facts.reason


def test_windows_without_its_api(monkeypatch):
    """A call that fails is no answer, and no error."""

    def fail(drive):
        raise OSError("no such call")

    monkeypatch.setattr(platform, "system", lambda: "Windows")
    monkeypatch.setattr(storage, "_drive_type", fail)
    facts = storage_of("C:\\x")
    assert facts.storage_class is UNKNOWN
    assert "could not be looked at" in facts.reason


def test_what_is_flash():
    """Only flash is read row by row without thought; the value is what stands in reports."""
    assert [kind for kind in StorageClass if kind.is_flash] == [NVME, SSD]
    assert f"{ROTATING}" == "rotating"


@pytest.mark.parametrize(
    ("way", "files", "speed"),
    [
        (USB, {"2-3": "480"}, 480.0),
        (USB, {"2-3": "5000"}, 5000.0),
        (USB, {"2-3": "nonsense"}, None),
        (USB, {}, None),
        (USB.replace("2-3/2-3:1.0", "2-3/2-3.4/2-3.4:1.0"), {"2-3": "5000", "2-3/2-3.4": "480"}, 480.0),  # behind a hub
        (ATA.format(1), {}, None),
    ],
)
def test_speed_of_usb(tmp_path, way, files, speed):
    """The link of the device itself counts, not that of the hub or the port above it."""
    machine = Machine(tmp_path, "1 0 8:0 / / rw - ext4 /dev/sda rw").disk("sda", "8:0", 0, way)
    machine.write("sys/devices/pci0000:00/0000:00:14.0/usb2/speed", "20000\n")
    for folder, text in files.items():
        machine.write(f"sys/devices/pci0000:00/0000:00:14.0/usb2/{folder}/speed", f"{text}\n")
    assert machine.look("/x").usb_megabits_per_s == speed


@pytest.mark.parametrize(("flag", "rotational"), [(0, False), (1, True), ("", None)])
def test_what_a_disk_says_about_rotation_is_kept(tmp_path, flag, rotational):
    """Even where it is not believed: the doctor confronts it with a measurement."""
    machine = Machine(tmp_path, "1 0 254:0 / / rw - ext4 /dev/vda rw").disk("vda", "254:0", flag, "virtio0/block")
    facts = machine.look("/x")
    assert (facts.storage_class, facts.rotational) == (UNKNOWN, rotational)
