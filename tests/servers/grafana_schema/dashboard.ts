// A dashboard as Grafana's types have it, and stricter: each kind of panel with its own options, custom fields and
// queries, which Grafana's type of a panel leaves open. Every kind that our dashboards use is listed.
import type {
  AnnotationQuery,
  Dashboard as AnyDashboard,
  DataQuery,
  DataTransformerConfig,
  FieldConfig,
  MatcherConfig,
  Panel as AnyPanel,
  RowPanel,
  VariableModel,
} from '@grafana/schema';
import type * as barchart from '@grafana/schema/dist/esm/raw/composable/barchart/panelcfg/x/BarChartPanelCfg_types.gen.d.ts';
import type * as bargauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen.d.ts';
import type * as heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen.d.ts';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen.d.ts';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen.d.ts';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen.d.ts';
import type * as xychart from '@grafana/schema/dist/esm/raw/composable/xychart/panelcfg/x/XYChartPanelCfg_types.gen.d.ts';

interface Override {
  matcher: MatcherConfig;
  properties: Array<{ id: string; value?: unknown }>;
}

type Kind<Type extends string, Options, Custom> = Omit<
  AnyPanel,
  'type' | 'options' | 'fieldConfig' | 'targets' | 'transformations'
> & {
  type: Type;
  options?: Partial<Options>;
  fieldConfig: { defaults: Omit<FieldConfig, 'custom'> & { custom?: Partial<Custom> }; overrides: Override[] };
  targets: PrometheusQuery[];
  transformations?: DataTransformerConfig[];
};

type Panel =
  | Kind<'barchart', barchart.Options, barchart.FieldConfig>
  | Kind<'bargauge', bargauge.Options, never>
  | Kind<'heatmap', heatmap.Options, heatmap.FieldConfig>
  | Kind<'stat', stat.Options, never>
  | Kind<'table', table.Options, table.FieldConfig>
  | Kind<'timeseries', timeseries.Options, timeseries.FieldConfig>
  | Kind<'xychart', xychart.Options, xychart.FieldConfig>;

// What Grafana's Prometheus data source reads of a query and of an annotation. @grafana/schema has no types of these.
interface PrometheusQuery extends DataQuery {
  expr: string;
  editorMode?: 'code' | 'builder';
  exemplar?: boolean;
  format?: 'time_series' | 'table' | 'heatmap';
  instant?: boolean;
  interval?: string;
  legendFormat?: string;
  range?: boolean;
}

type PrometheusAnnotation = Omit<AnnotationQuery, 'target' | 'snapshotData'> & {
  expr: string;
  step?: string;
  tagKeys?: string;
  textFormat?: string;
  titleFormat?: string;
  useValueForTime?: boolean;
};

export type Dashboard = Omit<AnyDashboard, 'panels' | 'annotations' | 'templating'> & {
  panels: Array<Panel | RowPanel>;
  annotations: { list: PrometheusAnnotation[] };
  templating: { list: VariableModel[] };
};
