using System.Net;

namespace Quorumail.Server.Torture.Cluster;

/// <summary>A node that is sent mail.</summary>
/// <param name="Name">What it is called here.</param>
/// <param name="Smtp">Where it takes mail.</param>
internal sealed record TortureNode(string Name, IPEndPoint Smtp);
