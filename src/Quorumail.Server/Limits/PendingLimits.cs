using Quorumail.Core.Limits;

namespace Quorumail.Server.Limits;

/// <summary>What of the limits has changed and the database does not have yet, as it is at one moment.</summary>
/// <param name="Head">All but the grants, if that has changed.</param>
/// <param name="Grants">Of the keys whose grants have changed, perhaps to none.</param>
internal readonly record struct PendingLimits(LimitRecords? Head, IReadOnlyList<(string Limit, string Key, IReadOnlyList<LimitGrant> Grants)> Grants)
{
    public static PendingLimits None { get; } = new(null, []);
}
