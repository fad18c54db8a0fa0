import Testing

@testable import RoleScheduler

/// What etcd's members complain of, as operators are told: alarms with what helps, and nothing else.
@Suite struct AlarmTests {
    @Test(arguments: [
        ([], ""),
        (["etcdserver: no leader"], ""),
        (["memberID:9372538179322589801 alarm:NOSPACE "], "etcd is full (alarm NOSPACE)"),
        (["memberID:1 alarm:NOSPACE ", "memberID:2 alarm:NOSPACE "], "etcd is full"),
        (["memberID:1 alarm:CORRUPT "], "(alarm CORRUPT)"),
        (["memberID:1 alarm:NOVEL"], "etcd has raised the alarm NOVEL"),
    ])
    func alarmsAreSaidOnce(_ errors: [String], _ said: String) {
        let alarm = EtcdSituation.alarm(errors)
        #expect(said.isEmpty ? alarm.isEmpty : alarm.contains(said), "\(alarm)")
        #expect(!alarm.contains("; etcd"), "\(alarm)")
    }
}
