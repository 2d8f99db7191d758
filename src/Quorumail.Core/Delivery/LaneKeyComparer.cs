using System.Runtime.CompilerServices;

namespace Quorumail.Core.Delivery;

/// <summary>Routes are compared by reference, domains without case.</summary>
internal sealed class LaneKeyComparer : IEqualityComparer<(Route Route, string Domain)>
{
    public static LaneKeyComparer Instance { get; } = new();

    public bool Equals((Route Route, string Domain) x, (Route Route, string Domain) y) =>
        ReferenceEquals(x.Route, y.Route) && string.Equals(x.Domain, y.Domain, StringComparison.OrdinalIgnoreCase);

    public int GetHashCode((Route Route, string Domain) key) =>
        HashCode.Combine(RuntimeHelpers.GetHashCode(key.Route), key.Domain.GetHashCode(StringComparison.OrdinalIgnoreCase));
}
