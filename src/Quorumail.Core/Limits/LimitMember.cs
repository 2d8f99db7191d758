namespace Quorumail.Core.Limits;

/// <summary>A node that has, or had, a share of every limit with <see cref="LimitPolicy.Share"/>.</summary>
/// <param name="Node">Its name.</param>
/// <param name="Members">The number of members that it goes by; 0: it is no member any more.</param>
/// <param name="MembersBefore">The one before.</param>
/// <param name="ChangedAt">Since when; what it has used in a window that was open then counts by the larger share.</param>
public sealed record LimitMember(string Node, int Members, int MembersBefore, long ChangedAt)
{
    /// <summary>What of a limit is reserved for it at a time.</summary>
    public int ReserveOf(LimitDefinition limit, long stamp)
    {
        // Connections are closed before a smaller share is adopted; of a node that has left, who knows.
        var isBefore = limit.Kind == LimitKind.Rate
            ? limit.WindowOf(stamp) <= limit.WindowOf(ChangedAt)
            : Members == 0 && stamp < ChangedAt + limit.Period;
        return isBefore ? Math.Max(limit.ReserveOf(Members), limit.ReserveOf(MembersBefore)) : limit.ReserveOf(Members);
    }
}
