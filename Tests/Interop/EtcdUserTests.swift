import EtcdProtocol
import Farm
import Foundation
import TestSupport
import Testing

@testable import RoleScheduler

extension ControlInteropTests {
    /// An etcd that asks who comes: by name and password, or by the name in a certificate.
    @Suite(.serialized) struct EtcdUserTests {
        private static let prefix = "/smurf/a.test/"

        /// Users "root" and "smurf", the password of both "secret"; "smurf" may do what is needed and no more.
        private func askForUsers(_ cluster: EtcdCluster, smurf: [String] = ["smurf:secret"])
            async throws
        {
            for words in [
                ["user", "add", "root:secret"], ["user", "add"] + smurf,
                ["role", "add", "farm"],
                [
                    "role", "grant-permission", "farm", "readwrite", "--prefix=true",
                    EtcdUserTests.prefix,
                ],
                ["user", "grant-role", "root", "root"], ["user", "grant-role", "smurf", "farm"],
                ["auth", "enable"],
            ] {
                let done = try await cluster.control(words)
                guard done.status == 0 else { throw Failure("\(words): \(done.errors)") }
            }
            cluster.user = "root:secret"
        }

        private func open(
            _ cluster: EtcdCluster, _ account: EtcdSettings.Account?,
            _ credentials: EtcdSettings.Credentials? = nil, prefix: String = "/smurf/a.test"
        ) throws -> FarmStoreTests.Opened {
            FarmStoreTests.Opened(
                try EtcdFarmStore(
                    EtcdSettings(
                        members: cluster.urls.compactMap { EtcdAddress($0) },
                        credentials: credentials, account: account, prefix: prefix, node: "n1",
                        agents: "127.0.0.1:1", leaderTTL: 2)))
        }

        private func says(_ opened: FarmStoreTests.Opened, _ text: String) async throws {
            try await eventually("it says '\(text)', not '\(opened.store.standing.trouble)'") {
                opened.store.standing.trouble.contains(text)
            }
            #expect(opened.store.standing.term == nil)
        }

        @Test(.timeLimit(.minutes(3)))
        func aUserWithAPasswordLeadsAndItsTokenIsRenewed() async throws {
            let cluster = try EtcdCluster(members: 1, options: ["--auth-token-ttl", "2"])
            try await cluster.start()
            let file = try cluster.directory.write("password", "secret\n")
            let account = EtcdSettings.Account(name: "smurf", passwordFile: file)
            // Before etcd asks for users, one that has an account is let in without.
            let early = try open(cluster, account)
            try await early.leads()
            try await early.save("before")
            try await askForUsers(cluster)
            try await eventually("it goes on when users are asked for") {
                (try? await early.save("after")) != nil
            }
            // Longer than a token is good for, with nothing but the watch and the lease under way.
            try await Task.sleep(for: .seconds(6))
            try await early.leads()
            try await early.save("later")
            // Whatever changes among the users makes the tokens of before worthless.
            let added = try await cluster.control("user", "add", "ann:x")
            #expect(added.status == 0, "\(added.errors)")
            try await eventually("it goes on with a new token") {
                (try? await early.save("renewed")) != nil
            }
            try await eventually("the watch goes on") {
                early.store.newest?.coded == Data("renewed".utf8)
            }
            // Of another life of etcd's, which knows no token of before.
            await cluster.signal(0, SIGKILL)
            try cluster.start(0)
            try await eventually("it goes on after etcd's restart") {
                guard early.store.standing.term != nil else { return false }
                return (try? await early.save("restarted")) != nil
            }
            #expect(early.store.standing.trouble == "")
            await early.close()
            await cluster.stop()
        }

        @Test(.timeLimit(.minutes(3)))
        func whatIsWrongIsSaidWithWhatHelps() async throws {
            let cluster = try EtcdCluster(members: 1)
            try await cluster.start()
            try await askForUsers(cluster)
            let file = try cluster.directory.write("password", "wrong\n")
            let account = EtcdSettings.Account(name: "smurf", passwordFile: file)
            let wrong = try open(cluster, account)
            try await says(wrong, "check --etcd-user and the file of --etcd-password-file")
            // The right one needs no restart.
            try cluster.directory.write("password", "secret\n")
            try await wrong.leads()
            await wrong.close()

            let nobody = try open(cluster, nil)
            try await says(nobody, "give --etcd-user and --etcd-password-file")
            await nobody.close()
            let elsewhere = try open(cluster, account, prefix: "/smurf/b.test")
            try await says(elsewhere, "etcdctl role grant-permission")
            await elsewhere.close()
            let missing = EtcdSettings.Account(name: "smurf", passwordFile: file + "x")
            let without = try open(cluster, missing)
            try await says(without, "cannot be read from \(file)x")
            await without.close()
            await cluster.stop()
        }

        /// The name in the certificate is the user; no password is involved.
        @Test(.timeLimit(.minutes(3)))
        func aCertificateNamesTheUser() async throws {
            let trust = try await MachineTrust("etcd", "operator", "smurf", "stranger")
            let cluster = try EtcdCluster(members: 1, trust: trust)
            try await cluster.start()
            try await askForUsers(cluster, smurf: ["smurf", "--no-password"])
            func credentials(_ name: String?) -> EtcdSettings.Credentials {
                .init(
                    certificate: name.map { trust.directory.file($0 + ".pem") },
                    key: name.map { trust.directory.file($0 + ".key") },
                    authority: trust.directory.file("ca.pem"))
            }
            let good = try open(cluster, nil, credentials("smurf"))
            try await good.leads()
            try await good.save("by name")
            #expect(try await good.store.load()?.coded == Data("by name".utf8))
            await good.close()
            // Certified, but no user of etcd.
            let bad = try open(cluster, nil, credentials("stranger"))
            try await says(bad, "127.0.0.1")
            await bad.close()
            await cluster.stop()
        }

        /// The whole node, by its command line.
        @Test(.timeLimit(.minutes(3)))
        func aControlNodeComesAsAUser() async throws {
            let cluster = try EtcdCluster(members: 1)
            try await cluster.start()
            try await askForUsers(cluster)
            let granted = try await cluster.control(
                "role", "grant-permission", "farm", "readwrite", "--prefix=true",
                "/smurf/\(ClusterFixture.zone)/")
            #expect(granted.status == 0, "\(granted.errors)")
            let directory = try TemporaryDirectory()
            let (dns, agents) = (try Product.freePort(), try Product.freePort())
            let policy = try directory.write("policy.yml", ClusterFixture.policy)
            let zone = try directory.write("static.zone", ControlNodeFixture.zone)
            let file = try directory.write("password", "wrong\n")
            let node = try Daemon(
                "n1",
                [
                    Product.smurf, "serve", "--policy", policy, "--zone", zone, "--data",
                    directory.file("n1"), "--dns", "127.0.0.1:\(dns)", "--agents",
                    "127.0.0.1:\(agents)", "--etcd", cluster.urls[0], "--node", "n1",
                    "--leader-ttl", "2s", "--etcd-user", "smurf", "--etcd-password-file", file,
                ], directory: directory)
            let socket = directory.file("n1") + "/control.sock"
            try await node.ready { FileManager.default.fileExists(atPath: socket) }
            try await eventually("the board says what helps") {
                let board = try await run([Product.smurf, "roles", "--control", socket])
                return board.output.contains("check --etcd-user and the file of")
            }
            try directory.write("password", "secret\n")
            try await eventually("it leads and answers") {
                try await Dig.short(
                    "web.\(ClusterFixture.zone)", "A", at: "127.0.0.1", port: dns
                ).count == 2
            }
            #expect(await node.stop() == 0)
            await cluster.stop()
        }
    }
}
