"""Control nodes, certificates and etcd on loopback for the benchmarks of the scheduler."""
import contextlib, os, pathlib, signal, socket, subprocess, time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SMURF = os.environ.get("SMURF", ROOT / ".build/release/smurf")
ZONE = "$ORIGIN farm.test.\n$TTL 30\n@ IN SOA ns1 hm 1 60 15 604800 30\n@ IN NS ns1\nns1 IN A 127.0.0.1\n"


def free():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def certificates(room):
    """The farm's own CA, and a certificate for the control node and for the agents."""
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    script = f"openssl req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=farm -days 2\n"
    for name in "control", "agent":
        script += (f"openssl req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}\n"
                   f"openssl x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2\n")
    subprocess.run(["bash", "-ec", script], cwd=room, check=True, capture_output=True)


class Node:
    """One `smurf serve`."""

    def __init__(self, room, name, policy, *options):
        self.dns, self.agents, self.log = free(), free(), room / f"{name}.log"
        for file, text in ("policy.yml", policy), ("zone", ZONE):
            (room / file).write_text(text)
        self.process = subprocess.Popen(
            [SMURF, "serve", "--policy", room / "policy.yml", "--zone", room / "zone", "--data", room / name,
             "--dns", f"127.0.0.1:{self.dns}", "--agents", f"127.0.0.1:{self.agents}", "--rate-limit", "0", *options],
            stdout=open(self.log, "w"), stderr=subprocess.STDOUT)

    def wait_for_port(self, port):
        for _ in range(600):
            if self.process.poll() is not None:
                raise SystemExit(f"smurf serve ended:\n{self.log.read_text()[-2000:]}")
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    return self
            time.sleep(0.1)
        raise SystemExit(f"nothing listens on port {port}")

    def cpu(self):
        """Seconds of all threads, of user and system."""
        stat = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def switches(self):
        """How often its threads have been woken: changes from one thread to another that they made of themselves."""
        found = 0
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with contextlib.suppress(FileNotFoundError):
                lines = open(f"/proc/{self.process.pid}/task/{task}/status").read().splitlines()
                found += next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))
        return found

    def memory(self, what="VmRSS"):
        """Mebibytes."""
        lines = open(f"/proc/{self.process.pid}/status").read().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Etcd(contextlib.AbstractContextManager):
    """Debian's etcd: so many members on loopback, without certificates."""

    def __init__(self, room, count):
        clients, peers = [free() for _ in range(count)], [free() for _ in range(count)]
        self.urls = [f"http://127.0.0.1:{port}" for port in clients]
        initial = ",".join(f"e{number}=http://127.0.0.1:{port}" for number, port in enumerate(peers))
        self.members = [
            subprocess.Popen(
                ["etcd", "--name", f"e{number}", "--data-dir", room / f"etcd{number}", "--logger", "zap",
                 "--listen-client-urls", self.urls[number], "--advertise-client-urls", self.urls[number],
                 "--listen-peer-urls", f"http://127.0.0.1:{peers[number]}",
                 "--initial-advertise-peer-urls", f"http://127.0.0.1:{peers[number]}",
                 "--initial-cluster", initial, "--initial-cluster-state", "new"],
                stdout=subprocess.DEVNULL, stderr=open(room / f"etcd{number}.log", "w"))
            for number in range(count)]
        for _ in range(300):
            asked = subprocess.run(["etcdctl", "--endpoints", ",".join(self.urls), "endpoint", "health"],
                                   env={**os.environ, "ETCDCTL_API": "3"}, capture_output=True)
            if asked.returncode == 0:
                return
            time.sleep(0.1)
        self.__exit__()
        raise SystemExit("etcd does not become healthy")

    def __exit__(self, *_):
        for member in self.members:
            member.kill()
            member.wait()
