namespace Quorumail.Core.Limits;

/// <content>What stays reserved for nodes that may not have heard of a definition that reserves less for them.</content>
public sealed partial class LimitState
{
    private readonly Dictionary<(string Limit, string Node), LimitShare> _shares = [];

    /// <summary>What stays reserved beyond the present definitions, ended or not, by number.</summary>
    public IReadOnlyList<LimitShare> Shares => [.. _shares.Values.OrderBy(share => share.Number)];

    private int ReserveOf(LimitDefinition limit, LimitMember member, long stamp)
    {
        var reserve = member.ReserveOf(limit, stamp);
        return _shares.Count > 0 && _shares.TryGetValue((limit.Name, member.Node), out var share) && share.Until > stamp
            ? Math.Max(reserve, share.Reserve)
            : reserve;
    }

    private void KeepShares(LimitDefinition before, LimitDefinition limit, long stamp)
    {
        foreach (var member in _members.Values)
        {
            var reserve = ReserveOf(before, member, stamp);
            if (reserve > member.ReserveOf(limit, stamp))
            {
                // One that has left says nothing any more.
                var until = member.Members > 0 ? long.MaxValue : Math.Max(before.EndOf(stamp), limit.EndOf(stamp));
                _shares[(limit.Name, member.Node)] = new LimitShare(limit.Name, member.Node, reserve, _nextSlot++, until);
            }
        }
    }

    /// <summary>A node uses no more than the present definitions give it: what it has used counts until the window ends.</summary>
    private void EndShares(string node, long number, long stamp)
    {
        foreach (var share in SharesOf(node).Where(share => share.Number <= number))
        {
            if (_definitions.TryGetValue(share.Limit, out var limit) && limit.Kind == LimitKind.Rate)
            {
                _shares[(share.Limit, node)] = share with { Until = limit.EndOf(stamp) };
            }
            else
            {
                _shares.Remove((share.Limit, node));
            }
        }
    }

    /// <summary>A node has left: of its connections nobody knows, so they count for a lease.</summary>
    private void LeaveShares(string node, long stamp)
    {
        foreach (var share in SharesOf(node))
        {
            var until = _definitions.TryGetValue(share.Limit, out var limit) ? limit.EndOf(stamp) : stamp;
            _shares[(share.Limit, node)] = share with { Until = until };
        }
    }

    // Those that it has not adopted others for.
    private LimitShare[] SharesOf(string node) =>
        [.. _shares.Values.Where(share => share.Until == long.MaxValue && string.Equals(share.Node, node, StringComparison.Ordinal))];

    private void ForgetShares(long stamp)
    {
        foreach (var share in _shares.Values.Where(share => share.Until <= stamp).ToArray())
        {
            _shares.Remove((share.Limit, share.Node));
        }
    }
}
