using Quorumail.Core.Limits;

namespace Quorumail.Server.Limits;

/// <summary>The limits and those who share them, as this node's state of the log has them at a moment. Immutable.</summary>
/// <param name="Limits">By name.</param>
/// <param name="Members">By name; those that have left, too.</param>
/// <param name="Shares">By number; what is kept of earlier definitions.</param>
internal sealed record LimitRules(IReadOnlyList<LimitDefinition> Limits, IReadOnlyList<LimitMember> Members, IReadOnlyList<LimitShare> Shares)
{
    public static LimitRules None { get; } = new([], [], []);

    /// <summary>Whether there is such a limit.</summary>
    public bool Has(string limit)
    {
        for (var i = 0; i < Limits.Count; i++)
        {
            if (string.Equals(Limits[i].Name, limit, StringComparison.Ordinal))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Those that are members now.</summary>
    public int MemberCount => Members.Count(member => member.Members > 0);

    /// <summary>The highest number of a share that is kept until a node adopts another; 0 for none.</summary>
    public long KeptFor(string node)
    {
        long highest = 0;
        for (var i = 0; i < Shares.Count; i++)
        {
            highest = Shares[i].Until == long.MaxValue && string.Equals(Shares[i].Node, node, StringComparison.Ordinal) ? Shares[i].Number : highest;
        }

        return highest;
    }

    /// <summary>The number of members by which a node's share is reserved; 0 if it is no member.</summary>
    public int MembersOf(string node) =>
        Members.FirstOrDefault(member => string.Equals(member.Node, node, StringComparison.Ordinal))?.Members ?? 0;
}
