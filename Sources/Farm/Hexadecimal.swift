/// Octets as people and tools write digests and keys: two digits each, in lower case.
extension Sequence<UInt8> {
    package var hexadecimal: String {
        map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}
