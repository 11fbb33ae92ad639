# Which slot is started. RAUC keeps BOOT_ORDER and BOOT_x_LEFT with fw_setenv, in the first of two copies of the
# environment; the second is of the last start, for a power cut that tore the first. No command line is waited for: a
# start that fails ends in a reset, and that in the other slot.
# devtype and devnum are those of the disk that this script came from (distro boot).
${devtype} dev ${devnum}
part start ${devtype} ${devnum} 2 first
setenv blocks 20
setexpr second ${first} + ${blocks}

setenv BOOT_ORDER "A B"
setenv BOOT_A_LEFT 3
setenv BOOT_B_LEFT 3
${devtype} read ${kernel_addr_r} ${first} ${blocks}
if env import -c ${kernel_addr_r} 4000 BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT; then
    echo "specular: environment read"
else
    ${devtype} read ${kernel_addr_r} ${second} ${blocks}
    if env import -c ${kernel_addr_r} 4000 BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT; then
        echo "specular: environment of the start before"
    else
        echo "specular: first start"
    fi
fi

setenv slot
for candidate in ${BOOT_ORDER}; do
    if test "x${slot}" = "x"; then
        if test "x${candidate}" = "xA"; then
            if test 0x${BOOT_A_LEFT} -gt 0; then
                setenv slot A
                setenv kernel 3
                setenv label root-a
                setexpr BOOT_A_LEFT ${BOOT_A_LEFT} - 1
                setenv left ${BOOT_A_LEFT}
            fi
        fi
        if test "x${candidate}" = "xB"; then
            if test 0x${BOOT_B_LEFT} -gt 0; then
                setenv slot B
                setenv kernel 4
                setenv label root-b
                setexpr BOOT_B_LEFT ${BOOT_B_LEFT} - 1
                setenv left ${BOOT_B_LEFT}
            fi
        fi
    fi
done
if test "x${slot}" = "x"; then
    # Three starts of each came to nothing: begin again rather than stop for ever.
    setenv BOOT_A_LEFT 3
    setenv BOOT_B_LEFT 3
fi
env export -c -s 0x4000 ${kernel_addr_r} BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT
${devtype} write ${kernel_addr_r} ${first} ${blocks}
${devtype} write ${kernel_addr_r} ${second} ${blocks}

if test "x${slot}" != "x"; then
    echo "specular: starting slot ${slot}, ${left} more attempts"
    setenv bootargs "root=PARTLABEL=${label} ro rootfstype=squashfs rauc.slot=${slot} @KERNEL_OPTIONS@ ${specular_options}"
    if load ${devtype} ${devnum}:${kernel} ${kernel_addr_r} vmlinuz; then
        if load ${devtype} ${devnum}:${kernel} ${ramdisk_addr_r} initrd.img; then
            booti ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${fdt_addr}
        fi
    fi
    echo "specular: slot ${slot} cannot be started; again in 5 seconds"
    sleep 5
fi
reset
