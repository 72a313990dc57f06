# SPDX-License-Identifier: BSD-3-Clause
"""The Spack package of mpi-img, built from the source tree that this file stands in:

    spack repo add jobs/spack
    spack install mpi-img                      with Spack's default MPI
    spack install mpi-img ^openmpi+pmi         or any other; one MPI an installation
    spack dev-build mpi-img@main               from the tree as it is, not from its last commit

Copied into another repository it needs `git` to name where the sources are.
"""
import os

from spack.package import *

try:  # Spack 1.0 and later
    from spack_repo.builtin.build_systems.cmake import CMakePackage
except ImportError:  # before, spack.package has it
    pass


class MpiImg(CMakePackage):
    """A qemu-img for clusters: converts disk images in parallel, one image on many nodes or
    thousands of images in one job, with the same bytes on any number of ranks and threads."""

    homepage = "file://" + os.path.realpath(os.path.join(os.path.dirname(__file__), *[".."] * 4))
    git = homepage
    license("BSD-3-Clause")

    version("main", branch="main")

    variant("mpi", default=True, description="Work on several nodes")
    variant("crypt", default=True, description="Encrypted images (libgcrypt)")
    variant("http", default=True, description="Read images from web servers (libcurl)")
    variant("dmg", default=True, description="Read bzip2 and xz clusters of dmg images")
    variant("fast", default=True, description="libdeflate, and ISA-L on x86_64 and aarch64")
    variant("uring", default=False, description="bench -i io_uring (liburing)")

    depends_on("c", type="build")
    depends_on("cmake@3.18:", type="build")
    depends_on("pkgconfig", type="build")

    depends_on("zlib-api")
    depends_on("zstd")
    depends_on("jansson")
    depends_on("libaio")
    depends_on("mpi", when="+mpi")
    depends_on("libgcrypt", when="+crypt")
    depends_on("curl", when="+http")
    depends_on("bzip2", when="+dmg")
    depends_on("xz", when="+dmg")
    depends_on("libdeflate", when="+fast")
    depends_on("isa-l", when="+fast target=x86_64:")
    depends_on("isa-l", when="+fast target=aarch64:")
    depends_on("liburing", when="+uring")

    conflicts("platform=darwin")
    conflicts("platform=windows")

    def cmake_args(self):
        # A module for the one MPI that was asked for, none for those that the system may have.
        wrappers = {"OPENMPI_WRAPPER": "OFF", "MPICH_WRAPPER": "OFF"}
        if self.spec.satisfies("+mpi"):
            mpi = "OPENMPI_WRAPPER" if self.spec.satisfies("^openmpi") else "MPICH_WRAPPER"
            wrappers[mpi] = self.spec["mpi"].mpicc
        return [self.define(name, value) for name, value in wrappers.items()]

    def setup_run_environment(self, env):
        env.set("MPI_IMG_JOBS", self.prefix.share.join("mpi-img").jobs)
