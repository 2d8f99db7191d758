namespace Quorumail.Core.Limits;

/// <summary>A limit for the whole cluster, for each key (an address, a user, a domain) separately.</summary>
/// <param name="Name">Which; such as "messages-per-user".</param>
/// <param name="Kind">What is counted.</param>
/// <param name="Capacity">Tokens in a window, or connections at once; at least 1.</param>
/// <param name="Period">The window, or how long a slot is leased, in milliseconds of cluster time. Windows begin at its multiples.</param>
/// <param name="Policy">What holds on a node that hears of no leader.</param>
public sealed record LimitDefinition(string Name, LimitKind Kind, int Capacity, long Period, LimitPolicy Policy)
{
    /// <summary>
    /// What a node may use without asking when the cluster has so many members: half of the capacity is spread evenly over
    /// them and never granted elsewhere. None under <see cref="LimitPolicy.Closed"/>.
    /// </summary>
    public int ReserveOf(int members) => Policy == LimitPolicy.Share && members > 0 ? Capacity / 2 / members : 0;

    /// <summary>The window of a time.</summary>
    public long WindowOf(long stamp) => Math.DivRem(stamp, Period).Quotient;

    /// <summary>When what is granted now ends: the window, or the lease.</summary>
    public long EndOf(long stamp) => Kind == LimitKind.Rate ? (WindowOf(stamp) + 1) * Period : stamp + Period;
}
