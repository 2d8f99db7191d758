using System.Globalization;
using Google.Protobuf;
using Grpc.Net.Client;
using Quorumail.ClusterBench.Etcd;

namespace Quorumail.ClusterBench;

/// <summary>etcd with its defaults: every write is fsynced on a majority before it is answered.</summary>
internal sealed class EtcdNodes(string program) : Nodes
{
    private readonly List<GrpcChannel> _channels = [];
    private KV.KVClient[] _clients = [];

    public override string Name => "etcd";

    public override Task PutAsync(int writer, string key, ReadOnlyMemory<byte> value, CancellationToken token)
    {
        PutRequest request = new() { Key = ByteString.CopyFromUtf8(key), Value = UnsafeByteOperations.UnsafeWrap(value) };
        return _clients[writer % Count].PutAsync(request, cancellationToken: token).ResponseAsync;
    }

    public override async ValueTask DisposeAsync()
    {
        _channels.ForEach(channel => channel.Dispose());
        await base.DisposeAsync();
    }

    protected override Task LaunchAsync()
    {
        var peers = Enumerable.Range(0, Count).Select(_ => "http://" + Local(FreePort())).ToArray();
        var clients = Enumerable.Range(0, Count).Select(_ => "http://" + Local(FreePort())).ToArray();
        var cluster = string.Join(',', peers.Select((peer, i) => string.Create(CultureInfo.InvariantCulture, $"n{i}={peer}")));
        for (var i = 0; i < Count; i++)
        {
            var name = string.Create(CultureInfo.InvariantCulture, $"n{i}");
            Launch(program, name,
            [
                "--name", name, "--data-dir", Path.Combine(Directory, name),
                "--listen-peer-urls", peers[i], "--initial-advertise-peer-urls", peers[i],
                "--listen-client-urls", clients[i], "--advertise-client-urls", clients[i],
                "--initial-cluster", cluster, "--initial-cluster-state", "new", "--log-level", "error",
            ]);
        }

        _channels.AddRange(clients.Select(address => GrpcChannel.ForAddress(address)));
        _clients = [.. _channels.Select(channel => new KV.KVClient(channel))];
        return Task.CompletedTask;
    }
}
