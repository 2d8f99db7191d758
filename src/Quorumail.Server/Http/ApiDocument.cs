using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Quorumail.Server.Http;

/// <summary>
/// The interface described by itself: <c>/api/openapi.json</c> for programs, <c>/api</c> for people. The document is
/// docs/openapi.json; a test compares it with what is served, both ways.
/// </summary>
internal static class ApiDocument
{
    private static readonly Lazy<byte[]> Document = new(Read);

    private static readonly Lazy<string> Page = new(() =>
    {
        using var document = JsonDocument.Parse(Document.Value);
        return ApiPage.Render(document.RootElement);
    });

    /// <summary>The document as it is served.</summary>
    public static ReadOnlyMemory<byte> Json => Document.Value;

    /// <summary>Adds the paths.</summary>
    public static void Map(IEndpointRouteBuilder application)
    {
        application.MapGet("/api/openapi.json", (RequestDelegate)(async context =>
        {
            context.Response.ContentType = "application/json; charset=utf-8";
            context.Response.ContentLength = Json.Length;
            await context.Response.BodyWriter.WriteAsync(Json, context.RequestAborted);
        }));
        application.MapGet("/api", (RequestDelegate)(context =>
        {
            context.Response.ContentType = "text/html; charset=utf-8";
            context.Response.Headers.ContentSecurityPolicy = ApiPage.ContentSecurityPolicy;
            return context.Response.WriteAsync(Page.Value, context.RequestAborted);
        }));
    }

    private static byte[] Read()
    {
        using var resource = typeof(ApiDocument).Assembly.GetManifestResourceStream("openapi.json")!;
        using var octets = new MemoryStream();
        resource.CopyTo(octets);
        return octets.ToArray();
    }
}
