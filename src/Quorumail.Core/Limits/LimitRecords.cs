namespace Quorumail.Core.Limits;

/// <summary>The persisted form of the limits.</summary>
/// <param name="NextSlot">Number of the next slot.</param>
/// <param name="Definitions">By name.</param>
/// <param name="Members">By name.</param>
/// <param name="Grants">By limit, key, slot and node.</param>
public sealed record LimitRecords(
    long NextSlot,
    IReadOnlyList<LimitDefinition> Definitions,
    IReadOnlyList<LimitMember> Members,
    IReadOnlyList<LimitGrant> Grants)
{
    /// <summary>By limit and node.</summary>
    public IReadOnlyList<LimitShare> Shares { get; init; } = [];
}
