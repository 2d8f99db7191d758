using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Server.Queue.Format;

/// <summary>Members, owners and copies in protobuf: what came with version 2 of the format.</summary>
internal static class NodeEncoding
{
    /// <summary>Null if the command is of an earlier version.</summary>
    public static LoggedCommand? ToLogged(QueueCommand command) => command switch
    {
        NodesChangedCommand changed => new LoggedCommand { NodesChanged = ToLogged(changed) },
        NodeDownCommand down => new LoggedCommand
        {
            NodeDown = new LoggedNodeDown { Node = down.Node, Incarnation = down.Incarnation },
        },
        NodeUpCommand up => new LoggedCommand
        {
            NodeUp = new LoggedNodeUp { Node = up.Node, Incarnation = up.Incarnation, Life = up.Life },
        },
        NodeDrainingCommand draining => new LoggedCommand
        {
            NodeDraining = new LoggedNodeDraining { Node = draining.Node, IsDraining = draining.IsDraining, IsVacating = draining.IsVacating },
        },
        HoldersChangedCommand holders => new LoggedCommand { HoldersChanged = ToLogged(holders) },
        AttemptGivenUpCommand givenUp => new LoggedCommand { AttemptGivenUp = ToLogged(givenUp) },
        _ => null,
    };

    /// <summary>Null if it is no command that this version knows.</summary>
    public static QueueCommand? ToCommand(LoggedCommand logged) => logged.KindCase switch
    {
        LoggedCommand.KindOneofCase.NodesChanged => new NodesChangedCommand(
            [.. logged.NodesChanged.Nodes.Select(ToHolder)], logged.NodesChanged.MinCopies,
            logged.NodesChanged.InDoubtWait, logged.NodesChanged.Version),
        LoggedCommand.KindOneofCase.NodeDown => new NodeDownCommand(logged.NodeDown.Node, logged.NodeDown.Incarnation),
        LoggedCommand.KindOneofCase.NodeUp =>
            new NodeUpCommand(logged.NodeUp.Node, logged.NodeUp.Incarnation, logged.NodeUp.Life),
        LoggedCommand.KindOneofCase.NodeDraining =>
            new NodeDrainingCommand(logged.NodeDraining.Node, logged.NodeDraining.IsDraining, logged.NodeDraining.IsVacating),
        LoggedCommand.KindOneofCase.HoldersChanged => ToCommand(logged.HoldersChanged),
        LoggedCommand.KindOneofCase.AttemptGivenUp => new AttemptGivenUpCommand(
            QueueEncoding.Id(logged.AttemptGivenUp.IdTime, logged.AttemptGivenUp.IdRandom), logged.AttemptGivenUp.Epoch,
            logged.AttemptGivenUp.Attempt, [.. logged.AttemptGivenUp.Recipients]),
        _ => null,
    };

    public static StoredMembers ToStored(QueueMembers members)
    {
        var stored = new StoredMembers
        {
            Version = members.Version,
            MinCopies = members.MinCopies,
            InDoubtWait = members.InDoubtWait,
        };
        foreach (var node in members.Nodes)
        {
            stored.Nodes.Add(new StoredNode
            {
                Name = node.Name,
                Incarnation = node.Incarnation,
                Life = node.Life,
                IsDown = node.IsDown,
                IsDraining = node.IsDraining,
                IsVacating = node.IsVacating,
            });
        }

        return stored;
    }

    public static QueueMembers ToMembers(StoredMembers stored) => new(
        stored.Version, stored.MinCopies, stored.InDoubtWait,
        [.. stored.Nodes.Select(n => new QueueNode(n.Name, n.Incarnation, n.Life, n.IsDown, n.IsDraining, n.IsVacating))]);

    private static LoggedNodesChanged ToLogged(NodesChangedCommand command)
    {
        var logged = new LoggedNodesChanged
        {
            MinCopies = command.MinCopies,
            InDoubtWait = command.InDoubtWait,
            Version = command.Version,
        };
        foreach (var node in command.Nodes)
        {
            logged.Nodes.Add(ToLogged(node));
        }

        return logged;
    }

    private static LoggedHoldersChanged ToLogged(HoldersChangedCommand command)
    {
        var logged = new LoggedHoldersChanged { Holder = ToLogged(command.Holder), Added = command.Added };
        foreach (var id in command.Ids)
        {
            logged.IdTimes.Add((ulong)id.Milliseconds);
            logged.IdRandoms.Add(id.RandomPart);
        }

        return logged;
    }

    private static HoldersChangedCommand? ToCommand(LoggedHoldersChanged logged)
    {
        if (logged.IdTimes.Count != logged.IdRandoms.Count)
        {
            return null;
        }

        var ids = new QueueId[logged.IdTimes.Count];
        for (var i = 0; i < ids.Length; i++)
        {
            ids[i] = QueueEncoding.Id(logged.IdTimes[i], logged.IdRandoms[i]);
        }

        return new HoldersChangedCommand(ids, ToHolder(logged.Holder ?? new LoggedHolder()), logged.Added);
    }

    private static LoggedAttemptGivenUp ToLogged(AttemptGivenUpCommand command)
    {
        var logged = new LoggedAttemptGivenUp
        {
            IdTime = (ulong)command.Id.Milliseconds,
            IdRandom = command.Id.RandomPart,
            Epoch = command.Epoch,
            Attempt = command.Attempt,
        };
        logged.Recipients.AddRange(command.Recipients);
        return logged;
    }

    private static LoggedHolder ToLogged(BodyHolder holder) =>
        new() { Node = holder.Node, Incarnation = holder.Incarnation };

    private static BodyHolder ToHolder(LoggedHolder logged) => new(logged.Node, logged.Incarnation);
}
