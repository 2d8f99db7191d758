using System.Collections;

namespace Quorumail.Cluster;

/// <summary>A list of addresses that grows while others read it: what was configured, then what discovery finds.</summary>
internal sealed class LivePeers(IReadOnlyList<string> configured) : IReadOnlyList<string>
{
    private IReadOnlyList<string> _addresses = configured;

    public int Count => Volatile.Read(ref _addresses).Count;

    public string this[int index] => Volatile.Read(ref _addresses)[index];

    public void Set(IReadOnlyCollection<string> addresses) => Volatile.Write(ref _addresses, [.. addresses]);

    public IEnumerator<string> GetEnumerator() => Volatile.Read(ref _addresses).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
