import Foundation
import RoleSchedulerCore

/// What the clock on this machine's wall shows, in its time zone: phases by the clock are people's.
extension TimeOfDay {
    static func local(_ date: Date) -> TimeOfDay {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .current
        let parts = calendar.dateComponents([.hour, .minute], from: date)
        return TimeOfDay(minute: (parts.hour ?? 0) * 60 + (parts.minute ?? 0))
    }
}
